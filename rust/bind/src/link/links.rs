//! The links of one loop: their poller, their flushes and their times.
use super::Link;
use crate::batch;
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

#[pyclass(weakref, module = "megahertz._core")]
pub struct Links {
    pub(super) poll: poll::link::Links,
    pub runtime: Py<Runtime>,
    /// Whose connection each place is.
    owners: Vec<Option<Py<Link>>>,
    /// Those with something in the line that has a time, or may have.
    timed: Vec<Py<Link>>,
    /// Those with something to send.
    dirty: Vec<Py<Link>>,
    flush_due: bool,
    polling: bool,
    /// When the loop calls for what is overdue.
    armed: u64,
    /// KeyboardInterrupt or SystemExit of a request: let out of the loop after the batch.
    pub(super) fatal: Option<PyErr>,
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
            let Some(link) = Self::owner(slf, key) else { continue };
            // A bug of ours costs a connection, not the worker its ears: what was read of it may be
            // half consumed.
            if catch_unwind(AssertUnwindSafe(|| Self::act(&link, notice))).is_err() {
                Link::unraisable(&link, Link::lose(&link, "a panic of the engine", false));
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
        for link in dirty {
            Link::flush(link.bind(slf.py()));
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
        for link in timed {
            let due = Link::expire(link.bind(py), at)?;
            if due < u64::MAX {
                slf.borrow_mut().timed.push(link);
                next = next.min(due);
            }
        }
        Self::arm(slf, next)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for link in self.owners.iter().flatten().chain(&self.timed).chain(&self.dirty) {
            visit.call(link)?;
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
    fn owner<'py>(slf: &Bound<'py, Self>, key: LinkKey) -> Option<Bound<'py, Link>> {
        let owner = {
            let links = slf.borrow();
            let owner = links.owners.get(key.index as usize).and_then(Option::as_ref);
            owner.map(|link| link.bind(slf.py()).clone())
        };
        owner.filter(|link| link.borrow().key == Some(key))
    }

    fn act(link: &Bound<'_, Link>, notice: Notice) {
        let acted = match notice {
            Notice::Open(_) => Link::opened(link),
            Notice::Input(_) => Link::received(link),
            Notice::Room(_) => {
                Link::flush(link);
                Ok(())
            }
            Notice::Lost(_, loss) => Link::lose(link, &loss.to_string(), true),
        };
        Link::unraisable(link, acted);
    }

    /// Begins to connect a link.
    pub fn dial(
        link: &Bound<'_, Link>,
        address: &Address,
        peer: Option<&Peer>,
    ) -> Result<LinkKey, Loss> {
        let links = link.borrow().links.clone_ref(link.py());
        let mut links = links.borrow_mut(link.py());
        let key = links.poll.dial(address, peer)?;
        let index = key.index as usize;
        if links.owners.len() <= index {
            links.owners.resize_with(index + 1, || None);
        }
        links.owners[index] = Some(link.clone().unbind());
        Ok(key)
    }

    /// Closes the connection of a link, if it has one.
    pub fn forget(link: &Bound<'_, Link>) {
        let (key, links) = {
            let mut link_ = link.borrow_mut();
            (link_.key.take(), link_.links.clone_ref(link.py()))
        };
        let Some(key) = key else { return };
        let owner = {
            let mut links = links.borrow_mut(link.py());
            links.poll.close(key);
            let place = links.owners.get_mut(key.index as usize);
            // Another link may have the place by now.
            place.and_then(|owner| owner.take_if(|owner| owner.is(link)))
        };
        drop(owner);
    }

    /// Has a link flushed at the end of the batch, or in the loop's next turn.
    pub fn touch(link: &Bound<'_, Link>) -> PyResult<()> {
        let py = link.py();
        let slf = link.borrow().links.bind(py).clone();
        let lp = {
            let mut links = slf.borrow_mut();
            links.dirty.push(link.clone().unbind());
            if std::mem::replace(&mut links.flush_due, true) {
                return Ok(());
            }
            if batch::defer(&slf) {
                return Ok(());
            }
            links.runtime.get().lp.clone_ref(py)
        };
        let flush = slf.getattr(intern!(py, "_flush"))?;
        lp.call_method1(py, intern!(py, "call_soon"), (flush,)).map(drop)
    }

    /// Sees to it that `due` is not missed.
    pub fn remind(link: &Bound<'_, Link>, due: u64) -> PyResult<()> {
        if due == u64::MAX {
            return Ok(());
        }
        let slf = {
            let link = link.borrow();
            link.links.bind(link.py()).clone()
        };
        {
            let mut links = slf.borrow_mut();
            if !links.timed.iter().any(|timed| timed.is(link)) {
                links.timed.push(link.clone().unbind());
            }
            if due >= links.armed {
                return Ok(());
            }
        }
        Self::arm(&slf, due)
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
