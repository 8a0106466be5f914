//! A link to Redis: what any number of tasks ask, through one connection after the other.
//!
//! # Theory
//! Commands are written behind each other as they are called, and leave together: at the end of
//! the engine's batch where handlers asked, else in the loop's next turn. Replies are read in
//! batches too, made into Python objects where they lie, and each steps the request that waits for
//! it in place; other tasks are waked as any future wakes them.
//!
//! # Rules
//! - The order is the line's (`wire::resp::Line`): who stops waiting changes nothing in it.
//! - No borrow of a cell is held while Python runs; the input is taken out while it is read.
//! - A connection is opened, greeted and given up by Python, which is told of its ends.
mod arguments;
mod build;

use crate::links::{Links, Owner, now};
use crate::reply::{self, Reply};
use crate::runtime::Runtime;
use crate::tls::ClientTlsConfig;
use arguments::{plain, write};
use build::Text;
use poll::link::{Address, LinkKey, Notice, Peer};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::sync::Arc;
use wire::resp::{Asked, Bounds, Item, Line, Scanner, item};

/// Capacity of an input that is kept for the next replies: as one turn of a connection reads.
const KEPT: usize = 256 * 1024;

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Down,
    Dialling,
    /// Open, but only for what greets the server.
    Greeting,
    Up,
    Closed,
}

/// Whose reply it is, and what becomes of it.
pub struct Waiter {
    reply: Py<Reply>,
    /// The replies so far, of a question that has several.
    all: Option<Py<PyList>>,
    /// Strings stay octets.
    raw: bool,
}

/// What Python does for a link.
struct Hooks {
    error: Py<PyAny>,
    opened: Py<PyAny>,
    lost: Py<PyAny>,
    push: Py<PyAny>,
}

#[derive(Default)]
struct Counters {
    commands: u64,
    replies: u64,
    discarded: u64,
    expired: u64,
    repeated: u64,
    refused: u64,
    pushes: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[pyclass(module = "megahertz._core")]
pub struct Link {
    links: Py<Links>,
    runtime: Py<Runtime>,
    key: Option<LinkKey>,
    stage: Stage,
    refusing: Option<String>,
    greeting: Line<Waiter>,
    commands: Line<Waiter>,
    input: Vec<u8>,
    scanner: Scanner,
    /// The last sign of life, and of the link's own.
    heard: u64,
    text: Option<Text>,
    count: usize,
    bytes: usize,
    /// In nanoseconds; none is 0.
    timeout: u64,
    pub(crate) dirty: bool,
    hooks: Hooks,
    counters: Counters,
}

#[pymethods]
impl Link {
    #[new]
    #[pyo3(signature = (links, *, error, opened, lost, push, count, bytes, timeout=None, encoding=None, errors="strict"))]
    #[expect(clippy::too_many_arguments, reason = "named in Python, one a hook or a limit")]
    fn new(
        links: &Bound<'_, Links>,
        error: Py<PyAny>,
        opened: Py<PyAny>,
        lost: Py<PyAny>,
        push: Py<PyAny>,
        count: usize,
        bytes: usize,
        timeout: Option<f64>,
        encoding: Option<&str>,
        errors: &str,
    ) -> PyResult<Self> {
        Ok(Link {
            runtime: links.borrow().runtime.clone_ref(links.py()),
            links: links.clone().unbind(),
            key: None,
            stage: Stage::Down,
            refusing: None,
            greeting: Line::default(),
            commands: Line::default(),
            input: vec![],
            scanner: Scanner::default(),
            heard: 0,
            text: encoding.map(|encoding| Text::new(encoding, errors)).transpose()?,
            count,
            bytes,
            timeout: nanoseconds(timeout),
            dirty: false,
            hooks: Hooks { error, opened, lost, push },
            counters: Counters::default(),
        })
    }

    /// Asks, and gives what to wait for.
    #[pyo3(signature = (words, convert=None, repeat=false, timeout=None, raw=false))]
    fn command<'py>(
        slf: &Bound<'py, Self>,
        words: &Bound<'py, PyTuple>,
        convert: Option<Py<PyAny>>,
        repeat: bool,
        timeout: Option<f64>,
        raw: bool,
    ) -> PyResult<Bound<'py, Reply>> {
        let reply = Self::reply(slf, convert)?;
        let waiter = Waiter { reply: reply.clone().unbind(), all: None, raw };
        Self::ask(slf, (waiter, 1), (repeat, timeout), std::slice::from_ref(words))?;
        Ok(reply)
    }

    /// Asks several things in one piece; the reply is the list of theirs, errors among them.
    #[pyo3(signature = (commands, convert=None, repeat=false, timeout=None))]
    fn pipeline<'py>(
        slf: &Bound<'py, Self>,
        commands: Vec<Bound<'py, PyTuple>>,
        convert: Option<Py<PyAny>>,
        repeat: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, Reply>> {
        let reply = Self::reply(slf, convert)?;
        let all = Some(PyList::empty(slf.py()).unbind());
        if commands.is_empty() {
            return Err(PyValueError::new_err("a pipeline without commands"));
        }
        let waiter = Waiter { reply: reply.clone().unbind(), all, raw: false };
        Self::ask(slf, (waiter, commands.len() as u32), (repeat, timeout), &commands)?;
        Ok(reply)
    }

    /// Says what is not replied to (SUBSCRIBE: what comes of it is pushed).
    #[pyo3(signature = (*words))]
    fn say(slf: &Bound<'_, Self>, words: &Bound<'_, PyTuple>) -> PyResult<()> {
        let words = plain(words)?;
        slf.borrow_mut().commands.say(|out| write(&words, out))?;
        Self::touch(slf)
    }

    /// Greets a server that has just been connected to: before everything that waits.
    #[pyo3(signature = (commands))]
    fn greet<'py>(
        slf: &Bound<'py, Self>,
        commands: Vec<Bound<'py, PyTuple>>,
    ) -> PyResult<Bound<'py, Reply>> {
        if slf.borrow().stage != Stage::Greeting {
            return Err(PyRuntimeError::new_err("no connection has just been opened"));
        }
        let reply = Self::reply(slf, None)?;
        let all = Some(PyList::empty(slf.py()).unbind());
        let waiter = Waiter { reply: reply.clone().unbind(), all, raw: false };
        let (count, words) = (commands.len() as u32, all_plain(&commands)?);
        slf.borrow_mut().greeting.ask((waiter, count), (false, u64::MAX), |out| {
            words.iter().try_for_each(|words| write(words, out))
        })?;
        Self::flush(slf);
        Ok(reply)
    }

    /// The greeting was well received: what waits may go.
    fn ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        {
            let mut link = slf.borrow_mut();
            if link.stage != Stage::Greeting {
                return Ok(());
            }
            link.stage = Stage::Up;
            link.refusing = None;
        }
        Self::touch(slf)
    }

    #[pyo3(signature = (host, port, tls=None, name=""))]
    fn dial(
        slf: &Bound<'_, Self>,
        host: &str,
        port: u16,
        tls: Option<&Bound<'_, ClientTlsConfig>>,
        name: &str,
    ) -> PyResult<()> {
        let address = host.parse().map_err(|_| PyValueError::new_err("host: not an address"))?;
        let peer = tls.map(|tls| Peer { config: Arc::clone(&tls.get().0), name: name.to_owned() });
        Self::begin(slf, &Address::Tcp(std::net::SocketAddr::new(address, port)), peer.as_ref())
    }

    fn dial_unix(slf: &Bound<'_, Self>, path: std::path::PathBuf) -> PyResult<()> {
        Self::begin(slf, &Address::Unix(path), None)
    }

    /// Gives up the connection as if it had been lost.
    fn drop_connection(slf: &Bound<'_, Self>, why: String) -> PyResult<()> {
        Self::lose(slf, &why, false)
    }

    /// Fails what waits for a connection, and what is asked from now on until there is one.
    fn refuse(slf: &Bound<'_, Self>, why: String) -> PyResult<()> {
        let failed = {
            let mut link = slf.borrow_mut();
            link.refusing = Some(why.clone());
            if link.stage == Stage::Up { vec![] } else { link.commands.clear() }
        };
        let failed = failed.into_iter().map(|(asked, _)| asked).collect();
        Self::fail(slf, failed, "unsent", &why, false)
    }

    /// Ends it for good.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (unsent, sent): (Vec<_>, Vec<_>) = {
            let mut link = slf.borrow_mut();
            if link.stage == Stage::Closed {
                return Ok(());
            }
            link.stage = Stage::Closed;
            let mut all = link.commands.clear();
            all.extend(link.greeting.clear());
            all.into_iter().partition(|(_, left)| !left)
        };
        Self::forget(slf);
        let strip = |all: Vec<(Asked<Waiter>, bool)>| all.into_iter().map(|(asked, _)| asked);
        Self::fail(slf, strip(unsent).collect(), "unsent", "the client was closed", false)?;
        Self::fail(slf, strip(sent).collect(), "unanswered", "the client was closed", false)
    }

    /// Stops or goes on to read: who does not keep up with what is pushed makes the server wait.
    fn pause(&self, py: Python<'_>, paused: bool) {
        if let Some(key) = self.key {
            self.links.borrow_mut(py).poll.pause(key, paused);
        }
    }

    /// Whether commands leave at once.
    #[getter]
    fn up(&self) -> bool {
        self.stage == Stage::Up
    }

    /// Commands without a reply.
    #[getter]
    fn waiting(&self) -> usize {
        self.commands.len()
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Counters { commands, replies, discarded, expired, repeated, .. } = self.counters;
        let Counters { refused, pushes, bytes_in, bytes_out, .. } = self.counters;
        let all = PyDict::new(py);
        for (name, value) in [
            ("commands", commands),
            ("replies", replies),
            ("discarded", discarded),
            ("expired", expired),
            ("repeated", repeated),
            ("refused", refused),
            ("pushes", pushes),
            ("bytes_in", bytes_in),
            ("bytes_out", bytes_out),
            ("waiting", self.commands.len() as u64),
            ("held", self.commands.held() as u64),
        ] {
            all.set_item(name, value)?;
        }
        Ok(all)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Hooks { error, opened, lost, push } = &self.hooks;
        for hook in [error, opened, lost, push] {
            visit.call(hook)?;
        }
        for asked in self.commands.iter().chain(self.greeting.iter()) {
            visit.call(&asked.waiter.reply)?;
        }
        visit.call(&self.links)
    }

    fn __clear__(&mut self) {
        self.commands.clear();
        self.greeting.clear();
    }
}

fn nanoseconds(seconds: Option<f64>) -> u64 {
    seconds.map_or(0, |seconds| (seconds * 1e9) as u64)
}

fn all_plain<'py>(commands: &[Bound<'py, PyTuple>]) -> PyResult<Vec<Bound<'py, PyTuple>>> {
    commands.iter().map(plain).collect()
}

impl Link {
    fn reply<'py>(
        slf: &Bound<'py, Self>,
        convert: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, Reply>> {
        let runtime = slf.borrow().runtime.clone_ref(slf.py());
        Bound::new(slf.py(), Reply::new(runtime, convert))
    }

    /// Puts a question into the line.
    fn ask(
        slf: &Bound<'_, Self>,
        (waiter, replies): (Waiter, u32),
        (repeat, timeout): (bool, Option<f64>),
        commands: &[Bound<'_, PyTuple>],
    ) -> PyResult<()> {
        let py = slf.py();
        let words = all_plain(commands)?;
        let reply = waiter.reply.clone_ref(py);
        let due = {
            let mut link = slf.borrow_mut();
            if let Some((kind, why)) = link.refusal() {
                link.counters.refused += 1;
                drop(link);
                let error = Self::error(slf, kind, &why);
                return Reply::complete(reply.bind(py), Err(error), false);
            }
            let timeout = timeout.map_or(link.timeout, |seconds| nanoseconds(Some(seconds)));
            let due = if timeout == 0 { u64::MAX } else { now() + timeout };
            link.counters.commands += u64::from(replies);
            link.commands.ask((waiter, replies), (repeat, due), |out| {
                words.iter().try_for_each(|words| write(words, out))
            })?;
            due
        };
        Links::remind(&Self::links(slf), Self::owner(slf), due)?;
        Self::touch(slf)
    }

    /// Why nothing may be asked now.
    fn refusal(&self) -> Option<(&'static str, String)> {
        if self.stage == Stage::Closed {
            return Some(("unsent", "the client was closed".into()));
        }
        if let Some(why) = self.refusing.as_ref().filter(|_| self.stage != Stage::Up) {
            return Some(("unsent", why.clone()));
        }
        if self.commands.len() >= self.count || self.commands.held() >= self.bytes {
            let (count, held) = (self.commands.len(), self.commands.held());
            return Some(("full", format!("{count} commands of {held} octets wait already")));
        }
        None
    }

    /// Has the line sent at the end of the batch.
    fn touch(slf: &Bound<'_, Self>) -> PyResult<()> {
        {
            let mut link = slf.borrow_mut();
            if link.stage != Stage::Up || std::mem::replace(&mut link.dirty, true) {
                return Ok(());
            }
        }
        Links::touch(&Self::links(slf), Self::owner(slf))
    }

    fn owner(slf: &Bound<'_, Self>) -> Owner {
        Owner::Link(slf.clone().unbind())
    }

    fn links<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Links> {
        slf.borrow().links.bind(slf.py()).clone()
    }

    /// Closes the connection, if there is one.
    fn forget(slf: &Bound<'_, Self>) {
        let Some(key) = slf.borrow_mut().key.take() else { return };
        let links = Self::links(slf);
        let owner = links.borrow_mut().forget(key);
        drop(owner);
    }

    /// What happened to its connection.
    pub fn act(slf: &Bound<'_, Self>, notice: Notice) {
        let acted = match notice {
            Notice::Open(_) => Self::opened(slf),
            Notice::Input(_) => Self::received(slf),
            Notice::Room(_) => {
                Self::flush(slf);
                Ok(())
            }
            Notice::Lost(_, loss) => Self::lose(slf, &loss.to_string(), true),
        };
        Self::unraisable(slf, acted);
    }

    /// Sends what the kernel takes.
    pub fn flush(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let lost = {
            let link = &mut *slf.borrow_mut();
            link.dirty = false;
            let Some(key) = link.key else { return };
            let line = match link.stage {
                Stage::Greeting => &mut link.greeting,
                Stage::Up => &mut link.commands,
                _ => return,
            };
            if line.unsent().is_empty() {
                return;
            }
            let sent = link.links.borrow_mut(py).poll.send(key, line.unsent());
            match sent {
                Ok(count) => {
                    line.sent(count);
                    link.counters.bytes_out += count as u64;
                    None
                }
                Err(loss) => Some(loss),
            }
        };
        // What came before the end may still be read: the reader meets the same end.
        if let Some(loss) = lost {
            Self::unraisable(slf, Self::lose(slf, &loss.to_string(), false));
        }
    }

    fn begin(slf: &Bound<'_, Self>, address: &Address, peer: Option<&Peer>) -> PyResult<()> {
        if slf.borrow().stage != Stage::Down {
            return Err(PyRuntimeError::new_err("the link has a connection, or is closed"));
        }
        let dialled = Self::links(slf).borrow_mut().dial(Self::owner(slf), address, peer);
        match dialled {
            Ok(key) => {
                let mut link = slf.borrow_mut();
                (link.key, link.stage) = (Some(key), Stage::Dialling);
                Ok(())
            }
            Err(loss) => Self::tell_lost(slf, &loss.to_string()),
        }
    }

    fn opened(slf: &Bound<'_, Self>) -> PyResult<()> {
        let hook = {
            let mut link = slf.borrow_mut();
            link.stage = Stage::Greeting;
            link.heard = now();
            link.hooks.opened.clone_ref(slf.py())
        };
        hook.call0(slf.py()).map(drop)
    }

    /// Reads what has come, and acts on every reply that is whole.
    fn received(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (key, mut input, mut scanner, loss) = {
            let link = &mut *slf.borrow_mut();
            let Some(key) = link.key else { return Ok(()) };
            let mut input = std::mem::take(&mut link.input);
            let before = input.len();
            let received = link.links.borrow_mut(py).poll.receive(key, &mut input);
            link.counters.bytes_in += (input.len() - before) as u64;
            link.heard = now();
            (key, input, std::mem::take(&mut link.scanner), received.err())
        };
        let (mut at, mut broken, bounds) = (0, None, Bounds::default());
        loop {
            match scanner.step(&input[at..], &bounds) {
                Ok(None) => break,
                Ok(Some(length)) => {
                    Self::unraisable(slf, Self::deliver(slf, &input[at..at + length]));
                    at += length;
                }
                Err(fault) => {
                    broken = Some(format!("not what Redis speaks: {fault}"));
                    break;
                }
            }
            if slf.borrow().key != Some(key) {
                // What was asked through it has been seen to.
                return Ok(());
            }
        }
        input.drain(..at);
        if input.is_empty() && input.capacity() > KEPT {
            input = Vec::new();
        }
        {
            let mut link = slf.borrow_mut();
            (link.input, link.scanner) = (input, scanner);
        }
        match (broken, loss) {
            (Some(why), _) => Self::lose(slf, &why, true),
            (None, Some(loss)) => Self::lose(slf, &loss.to_string(), true),
            (None, None) => Ok(()),
        }
    }

    /// One reply, or what the server says by itself.
    fn deliver(slf: &Bound<'_, Self>, data: &[u8]) -> PyResult<()> {
        let py = slf.py();
        let pushed = matches!(item(data, 0, &Bounds::default()), Ok(Some((Item::Push(_), _))));
        let (waiter, text, error) = {
            let link = &mut *slf.borrow_mut();
            link.counters.replies += 1;
            let line = if link.stage == Stage::Up { &link.commands } else { &link.greeting };
            let waiter = line.next().filter(|_| !pushed).map(|asked| Waiter {
                reply: asked.waiter.reply.clone_ref(py),
                all: asked.waiter.all.as_ref().map(|all| all.clone_ref(py)),
                raw: asked.waiter.raw,
            });
            (waiter, link.text.clone(), link.hooks.error.clone_ref(py))
        };
        let Some(waiter) = waiter else {
            let built = build::whole(py, data, text.as_ref(), error.bind(py));
            let push = {
                let mut link = slf.borrow_mut();
                link.counters.pushes += 1;
                link.hooks.push.clone_ref(py)
            };
            let value = built.or_else(|error| Ok::<_, PyErr>(error.into_value(py).into_any()))?;
            return push.call1(py, (value,)).map(drop);
        };
        let reply = waiter.reply.bind(py);
        let awaited = reply.borrow().is_pending();
        let text = text.filter(|_| !waiter.raw);
        let built = awaited.then(|| build::whole(py, data, text.as_ref(), error.bind(py)));
        let last = {
            let link = &mut *slf.borrow_mut();
            link.counters.discarded += u64::from(!awaited);
            let line =
                if link.stage == Stage::Up { &mut link.commands } else { &mut link.greeting };
            line.replied().is_some()
        };
        let Some(built) = built else { return Ok(()) };
        let built = match waiter.all {
            None => built,
            Some(all) => {
                let value = built.unwrap_or_else(|error| error.into_value(py).into_any());
                all.bind(py).append(value)?;
                if !last {
                    return Ok(());
                }
                Ok(all.into_any())
            }
        };
        Reply::complete(reply, built, true)
    }

    /// The connection is none any more.
    pub fn lose(slf: &Bound<'_, Self>, why: &str, in_place: bool) -> PyResult<()> {
        let lost = {
            let link = &mut *slf.borrow_mut();
            if link.key.is_none() {
                return Ok(());
            }
            let mut lost = link.commands.lose();
            // Who has left meanwhile asks nothing a second time.
            link.commands.take_back(|waiter| !waiter.reply.borrow(slf.py()).is_pending());
            link.counters.repeated += link.commands.len() as u64;
            lost.extend(link.greeting.lose());
            lost.extend(link.greeting.clear().into_iter().map(|(asked, _)| asked));
            (link.stage, link.dirty) = (Stage::Down, false);
            link.input.clear();
            link.scanner = Scanner::default();
            lost
        };
        Self::forget(slf);
        let told = Self::fail(slf, lost, "unanswered", why, in_place);
        Self::tell_lost(slf, why).and(told)
    }

    fn tell_lost(slf: &Bound<'_, Self>, why: &str) -> PyResult<()> {
        let hook = slf.borrow().hooks.lost.clone_ref(slf.py());
        hook.call1(slf.py(), (why,)).map(drop)
    }

    fn fail(
        slf: &Bound<'_, Self>,
        failed: Vec<Asked<Waiter>>,
        kind: &str,
        why: &str,
        in_place: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        for asked in failed {
            let reply = asked.waiter.reply.bind(py);
            let error = Self::error(slf, kind, why);
            Reply::complete(reply, Err(error), in_place)?;
        }
        Ok(())
    }

    /// Fails whose time is over; gives when the next one's will be.
    pub fn expire(slf: &Bound<'_, Self>, at: u64) -> PyResult<u64> {
        let py = slf.py();
        let (mut overdue, mut next, mut silent) = (vec![], u64::MAX, false);
        {
            let link = &mut *slf.borrow_mut();
            let line = &link.commands;
            for asked in line.iter().filter(|asked| asked.due != u64::MAX) {
                if asked.due > at {
                    next = next.min(asked.due);
                } else if asked.waiter.reply.borrow(py).is_pending() {
                    let left = line.has_begun_to_leave(asked);
                    // Not a word from the server since it was asked: there may be none there.
                    silent |= left && link.timeout > 0 && link.heard + link.timeout <= asked.due;
                    overdue.push((asked.waiter.reply.clone_ref(py), left));
                }
            }
            link.counters.expired += overdue.len() as u64;
        }
        for (reply, left) in overdue {
            let kind = if left { "late" } else { "unsent" };
            let why = if left { "no reply in time" } else { "no connection in time" };
            Reply::complete(reply.bind(py), Err(Self::error(slf, kind, why)), false)?;
        }
        slf.borrow_mut().commands.take_back(|waiter| !waiter.reply.borrow(py).is_pending());
        if silent {
            Self::lose(slf, "the server has fallen silent", false)?;
        }
        Ok(next)
    }

    /// What Python makes of a failure of that kind.
    fn error(slf: &Bound<'_, Self>, kind: &str, why: &str) -> PyErr {
        let hook = slf.borrow().hooks.error.clone_ref(slf.py());
        reply::failure(hook.bind(slf.py()), kind, why)
    }

    pub fn unraisable(slf: &Bound<'_, Self>, result: PyResult<()>) {
        if let Err(error) = result {
            if crate::task::is_fatal(slf.py(), &error) {
                let links = slf.borrow().links.clone_ref(slf.py());
                links.borrow_mut(slf.py()).fatal = Some(error);
            } else {
                error.write_unraisable(slf.py(), Some(slf.as_any()));
            }
        }
    }
}

/// Adds this idea's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Link>()
}
