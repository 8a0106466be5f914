//! The end of a batch: what the pollers of a loop leave for it, because it is cheaper together.
//!
//! A handler that asks Redis does so in the middle of the engine's batch, as a rule. Its question
//! leaves at the batch's end, with those of the others, without a callback and a turn of the loop.
use crate::links::Links;
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static LINKS: RefCell<Vec<Py<Links>>> = const { RefCell::new(vec![]) };
}

/// A batch begins on this thread, perhaps inside of another.
pub fn enter() {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
}

/// Has links flushed at the end of the batch, where there is one.
pub fn defer(links: &Bound<'_, Links>) -> bool {
    if DEPTH.with(Cell::get) == 0 {
        return false;
    }
    LINKS.with_borrow_mut(|all| all.push(links.clone().unbind()));
    true
}

/// It ends; with the outermost, what was left for it is done.
pub fn leave(py: Python<'_>) {
    let depth = DEPTH.with(|depth| depth.replace(depth.get() - 1));
    if depth > 1 {
        return;
    }
    while let Some(links) = LINKS.with_borrow_mut(Vec::pop) {
        Links::_flush(links.bind(py));
    }
}
