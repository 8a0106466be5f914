//! The outgoing connections of one loop: their poller, their flushes and their times.
//!
//! Whose they are is an [`Owner`]: a link to Redis, or a pool of HTTP connections.
use crate::batch;
use crate::client::ClientPool;
use crate::link::Link;
use crate::reply::Reply;
use crate::runtime::Runtime;
use poll::link::{Address, LinkKey, Loss, Notice, Peer};
use pyo3::exceptions::PyOSError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use rustix::fd::AsRawFd;
use rustix::time::{ClockId, clock_gettime};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Whose a connection is.
pub enum Owner {
    Link(Py<Link>),
    Pool(Py<ClientPool>),
}

impl Owner {
    fn clone_ref(&self, py: Python<'_>) -> Owner {
        match self {
            Owner::Link(link) => Owner::Link(link.clone_ref(py)),
            Owner::Pool(pool) => Owner::Pool(pool.clone_ref(py)),
        }
    }

    fn is(&self, other: &Owner) -> bool {
        match (self, other) {
            (Owner::Link(link), Owner::Link(other)) => link.is(other),
            (Owner::Pool(pool), Owner::Pool(other)) => pool.is(other),
            _ => false,
        }
    }

    fn act(&self, py: Python<'_>, notice: Notice) {
        match self {
            Owner::Link(link) => Link::act(link.bind(py), notice),
            Owner::Pool(pool) => ClientPool::act(pool.bind(py), notice),
        }
    }

    fn lose(&self, py: Python<'_>, key: LinkKey, why: &str) {
        match self {
            Owner::Link(link) => {
                let link = link.bind(py);
                Link::unraisable(link, Link::lose(link, why, false));
            }
            Owner::Pool(pool) => {
                let pool = pool.bind(py);
                ClientPool::unraisable(pool, ClientPool::lose(pool, key, why));
            }
        }
    }

    fn flush(&self, py: Python<'_>) {
        match self {
            Owner::Link(link) => Link::flush(link.bind(py)),
            Owner::Pool(pool) => ClientPool::flush(pool.bind(py)),
        }
    }

    fn expire(&self, py: Python<'_>, at: u64) -> PyResult<u64> {
        match self {
            Owner::Link(link) => Link::expire(link.bind(py), at),
            Owner::Pool(pool) => ClientPool::expire(pool.bind(py), at),
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Owner::Link(link) => visit.call(link),
            Owner::Pool(pool) => visit.call(pool),
        }
    }
}

#[pyclass(weakref, module = "megahertz._core")]
pub struct Links {
    pub poll: poll::link::Links,
    pub runtime: Py<Runtime>,
    /// Whose connection each place is.
    owners: Vec<Option<(LinkKey, Owner)>>,
    /// Those with something that has a time, or may have.
    timed: Vec<Owner>,
    /// Those with something to send.
    dirty: Vec<Owner>,
    flush_due: bool,
    polling: bool,
    /// When the loop calls for what is overdue.
    armed: u64,
    /// KeyboardInterrupt or SystemExit of a request: let out of the loop after the batch.
    pub fatal: Option<PyErr>,
}

#[pymethods]
impl Links {
    #[new]
    fn new(py: Python<'_>, lp: Py<PyAny>) -> PyResult<Self> {
        let poll = poll::link::Links::new()
            .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))?;
        Ok(Links {
            poll,
            runtime: Py::new(py, Runtime::new(py, lp)?)?,
            owners: vec![],
            timed: vec![],
            dirty: vec![],
            flush_due: false,
            polling: false,
            armed: u64::MAX,
            fatal: None,
        })
    }

    fn fileno(&self) -> i32 {
        self.poll.fd().as_raw_fd()
    }

    /// The loop's reader callback.
    fn poll(slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut notices = vec![];
        {
            let mut links = slf.borrow_mut();
            if std::mem::replace(&mut links.polling, true) {
                // Something runs the loop inside itself: the outer batch goes on after it.
                return Ok(());
            }
            links.poll.turn(&mut notices);
        }
        batch::enter();
        for notice in notices {
            let key = notice.key();
            let Some(owner) = Self::owner(slf, key) else { continue };
            // A bug of ours costs a connection, not the worker its ears: what was read of it may be
            // half consumed.
            if catch_unwind(AssertUnwindSafe(|| owner.act(slf.py(), notice))).is_err() {
                owner.lose(slf.py(), key, "a panic of the engine");
            }
        }
        batch::leave(slf.py());
        let mut links = slf.borrow_mut();
        links.polling = false;
        links.fatal.take().map_or(Ok(()), Err)
    }

    /// Sends what was asked since the loop's last turn.
    pub fn _flush(slf: &Bound<'_, Self>) {
        let dirty = {
            let mut links = slf.borrow_mut();
            links.flush_due = false;
            std::mem::take(&mut links.dirty)
        };
        for owner in dirty {
            owner.flush(slf.py());
        }
    }

    /// Fails what is overdue.
    fn _expire(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let timed = {
            let mut links = slf.borrow_mut();
            links.armed = u64::MAX;
            std::mem::take(&mut links.timed)
        };
        let at = now();
        let mut next = u64::MAX;
        for owner in timed {
            let due = owner.expire(py, at)?;
            if due < u64::MAX {
                let mut links = slf.borrow_mut();
                // It may have asked to be reminded meanwhile.
                if !links.timed.iter().any(|timed| timed.is(&owner)) {
                    links.timed.push(owner);
                }
                next = next.min(due);
            }
        }
        Self::arm(slf, next)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let owners = self.owners.iter().flatten().map(|(_, owner)| owner);
        for owner in owners.chain(&self.timed).chain(&self.dirty) {
            owner.visit(&visit)?;
        }
        visit.call(&self.runtime)
    }

    fn __clear__(&mut self) {
        self.owners.clear();
        self.timed.clear();
        self.dirty.clear();
    }
}

impl Links {
    fn owner(slf: &Bound<'_, Self>, key: LinkKey) -> Option<Owner> {
        let links = slf.borrow();
        let (known, owner) = links.owners.get(key.index as usize)?.as_ref()?;
        (*known == key).then(|| owner.clone_ref(slf.py()))
    }

    /// Begins to connect.
    pub fn dial(
        &mut self,
        owner: Owner,
        address: &Address,
        peer: Option<&Peer>,
    ) -> Result<LinkKey, Loss> {
        let key = self.poll.dial(address, peer)?;
        let index = key.index as usize;
        if self.owners.len() <= index {
            self.owners.resize_with(index + 1, || None);
        }
        self.owners[index] = Some((key, owner));
        Ok(key)
    }

    /// Closes a connection, whose owner is given back: it may be dropped once nothing is borrowed.
    #[must_use]
    pub fn forget(&mut self, key: LinkKey) -> Option<Owner> {
        self.poll.close(key);
        let place = self.owners.get_mut(key.index as usize)?;
        // Another one may have the place by now.
        place.take_if(|(known, _)| *known == key).map(|(_, owner)| owner)
    }

    /// Has an owner flushed at the end of the batch, or in the loop's next turn.
    pub fn touch(slf: &Bound<'_, Self>, owner: Owner) -> PyResult<()> {
        let py = slf.py();
        let lp = {
            let mut links = slf.borrow_mut();
            links.dirty.push(owner);
            if std::mem::replace(&mut links.flush_due, true) {
                return Ok(());
            }
            if batch::defer(slf) {
                return Ok(());
            }
            links.runtime.get().lp.clone_ref(py)
        };
        let flush = slf.getattr(intern!(py, "_flush"))?;
        lp.call_method1(py, intern!(py, "call_soon"), (flush,)).map(drop)
    }

    /// Sees to it that `due` is not missed.
    pub fn remind(slf: &Bound<'_, Self>, owner: Owner, due: u64) -> PyResult<()> {
        if due == u64::MAX {
            return Ok(());
        }
        {
            let mut links = slf.borrow_mut();
            if !links.timed.iter().any(|timed| timed.is(&owner)) {
                links.timed.push(owner);
            }
            if due >= links.armed {
                return Ok(());
            }
        }
        Self::arm(slf, due)
    }

    fn arm(slf: &Bound<'_, Self>, due: u64) -> PyResult<()> {
        let py = slf.py();
        if due == u64::MAX {
            return Ok(());
        }
        let lp = {
            let mut links = slf.borrow_mut();
            if due >= links.armed {
                return Ok(());
            }
            links.armed = due;
            links.runtime.get().lp.clone_ref(py)
        };
        let expire = slf.getattr(intern!(py, "_expire"))?;
        let seconds = due.saturating_sub(now()) as f64 / 1e9;
        lp.call_method1(py, intern!(py, "call_later"), (seconds, expire)).map(drop)
    }
}

/// Adds this idea's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reply>()?;
    module.add_class::<Links>()
}
