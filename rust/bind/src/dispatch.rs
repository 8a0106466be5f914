//! From a whole request to its handler. What the handler gives is written by `conclude`.
//!
//! Each borrow of the engine is a locked instruction: a request that is answered in place needs two,
//! one from its bytes to its handler, one from what that gave to the next request's bytes.
use crate::answer::Answer;
use crate::calls::{self, Object};
use crate::engine::{Engine, FALLBACK, Route, Wait};
use crate::exchange::{Begun, Exchange, Lazy, Params};
use crate::gate::Admission;
use crate::quiet::{Drawn, Quiet};
use crate::task::{Duty, Outcome, Owner, RequestTask};
use crate::typed::Typed;
use poll::Incoming;
use pyo3::prelude::*;
use wire::route::WEBSOCKET;
use wire::{Found, Framing, Refusal};

/// Request bodies above this are left to a handler that can read them piece by piece.
const STREAM_BYTES: u64 = 64 * 1024;

/// A small body costs less whole: its handler runs in one go, and a slow peer holds no handler.
/// Who waits for 100 Continue may be refused by the handler before it sends anything.
fn is_worth_streaming(incoming: &Incoming) -> bool {
    match incoming.head.framing {
        Framing::Length(size) => size > STREAM_BYTES || incoming.head.expects,
        Framing::Chunked => true,
    }
}

/// What 426 says (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n";

/// No handler sees an opening handshake that cannot be completed.
fn check_upgrade(incoming: &Incoming) -> Result<(), Refusal> {
    if !incoming.head.websocket {
        return Ok(());
    }
    incoming.handshake().map(drop)
}

/// A request that is about to meet its handler.
pub struct Start<'py> {
    begun: Begun,
    route: Bound<'py, Route>,
    /// Its gate has refused it, and the application says so.
    refused: Option<PyErr>,
    context: PyResult<Object<'py>>,
    spare: Option<Py<RequestTask>>,
}

/// What is called for a request.
struct Target<'a> {
    endpoint: &'a Py<PyAny>,
    bare: bool,
    typed: Option<&'a Typed>,
    /// Calling it runs nothing of the user's.
    inert: bool,
    /// Nobody observes it, and this is its trace.
    quiet: Option<(&'a Quiet, &'a Drawn)>,
}

impl<'a> Target<'a> {
    fn of(route: &'a Route, fell_back: bool, drawn: Option<&'a Drawn>) -> Target<'a> {
        if let (true, Some(instead)) = (fell_back, &route.instead) {
            let endpoint = instead;
            return Target { endpoint, bare: false, typed: None, inert: false, quiet: None };
        }
        let quiet = route.quiet.as_ref().map(Py::get);
        match (quiet, drawn.filter(|drawn| drawn.quiet)) {
            (Some(quiet), Some(drawn)) => Target {
                endpoint: &quiet.endpoint,
                bare: quiet.bare,
                typed: quiet.typed.as_ref(),
                inert: route.inert,
                quiet: Some((quiet, drawn)),
            },
            // Behind its observers, if it has any.
            _ => Target {
                endpoint: &route.endpoint,
                bare: route.bare,
                typed: route.typed.as_ref(),
                inert: route.inert && quiet.is_none(),
                quiet: None,
            },
        }
    }
}

impl Engine {
    /// Finds who answers a request and lets it pass the gate; none where it has been answered, or
    /// where its body comes first.
    pub fn take_up<'py>(&mut self, py: Python<'py>, incoming: Box<Incoming>) -> Option<Start<'py>> {
        assert!(!std::mem::take(&mut self.panic_next), "asked for by a test");
        let token = incoming.token;
        let (index, params, route) = self.find(py, &incoming)?;
        if let Err(refusal) = check_upgrade(&incoming) {
            let fields = if refusal == Refusal::UpgradeRequired { UPGRADE } else { "" };
            self.reactor.decline(token, refusal, fields);
            return None;
        }
        let size = incoming.body().len() as u64;
        let fits = match incoming.is_awaited() {
            true if route.get().streams && is_worth_streaming(&incoming) => {
                self.reactor.hand_over(token, route.get().body)
            }
            true => {
                // It comes again when its body is whole.
                if let Err(refusal) = self.reactor.collect(incoming, route.get().body) {
                    self.reactor.decline(token, refusal, "");
                }
                return None;
            }
            false if size > route.get().body => Err(Refusal::BodyTooLarge),
            false => Ok(()),
        };
        if let Err(refusal) = fits {
            self.reactor.decline(token, refusal, "");
            return None;
        }
        let (admission, refused) = match self.admit(py, index, &incoming, &params.0[..params.1]) {
            Ok(admission) => (admission, None),
            Err(Some(error)) => (None, Some(error)),
            Err(None) => return None,
        };
        self.serial += 1;
        let deadline = admission.and_then(|it| it.deadline);
        let deadline = deadline.zip(route.get().hooks.deadline.as_ref());
        let context = self.contexts.of(py, index, deadline);
        let drawn = route.get().quiet.as_ref().and_then(|quiet| {
            let began = admission.map_or(self.reactor.now(), |admission| admission.began);
            let names = incoming.head.fields.iter().map(|field| field.name.of(&incoming.bytes));
            quiet.get().draw(py, names, began)
        });
        let begun = Begun { incoming, serial: self.serial, route: index, params, admission, drawn };
        Some(Start { begun, route, refused, context, spare: self.spare.take() })
    }

    fn find<'py>(
        &mut self,
        py: Python<'py>,
        incoming: &Incoming,
    ) -> Option<(u32, Params, Bound<'py, Route>)> {
        let head = &incoming.head;
        let path = head.path_of(&incoming.bytes);
        let method = head.method.of(&incoming.bytes);
        let method = if head.websocket { WEBSOCKET.as_bytes() } else { method };
        let found = self.router.find(method, path);
        let (refusal, fields) = match (found, &self.fallback) {
            (Found::Route(index, params, count), _) => {
                let route = self.routes[index].bind(py).clone();
                return Some((index as u32, (params, count), route));
            }
            (_, Some(fallback)) => {
                return Some((FALLBACK, Default::default(), fallback.bind(py).clone()));
            }
            (Found::OtherMethods, None) => {
                (Refusal::NotAllowed, &*format!("allow: {}\r\n", self.router.allow(path)))
            }
            (Found::OnlyWebSocket, None) => (Refusal::UpgradeRequired, UPGRADE),
            (Found::Nothing, None) => (Refusal::NotFound, ""),
        };
        self.reactor.decline(incoming.token, refusal, fields);
        None
    }

    /// Runs the first step of its handler in place.
    pub fn request(slf: &Bound<'_, Self>, start: Start<'_>) {
        let Start { begun, route, refused, context, mut spare } = start;
        let (route, index) = (route.get(), begun.route);
        let (admission, drawn) = (begun.admission, begun.drawn);
        let token = begun.incoming.token;
        let mut exchange = Lazy::new(slf, begun);
        let mut outcome = match refused {
            // A gate's refusal in the application's own words.
            Some(error) => Outcome::Failed(error),
            None => context
                .and_then(|it| {
                    let fell_back = admission.is_some_and(|admission| admission.fell_back);
                    let target = Target::of(route, fell_back, drawn.as_ref());
                    Self::begin(slf, &mut exchange, route, &it, &target, &mut spare)
                })
                .unwrap_or_else(Outcome::Failed),
        };
        // An error that is answered by hand is told of, which takes the exchange.
        let quiet = drawn.is_some_and(|drawn| drawn.quiet);
        let passes = match &outcome {
            Outcome::Done(value) => {
                exchange.is_unseen() && !(quiet && value.is_instance_of::<Answer>())
            }
            _ => false,
        };
        if let (true, Outcome::Done(value)) = (passes, &outcome) {
            match Self::pass(slf, &mut exchange, token, route, value, &mut spare) {
                Ok(()) => return,
                Err(error) => outcome = Outcome::Failed(error),
            }
        }
        if spare.is_some() {
            slf.borrow_mut().spare = spare;
        }
        match (exchange.object(), outcome) {
            (Ok(_), Outcome::Suspended) => Self::went_on(slf, index, admission),
            (Ok(exchange), outcome) => Self::answer(slf, exchange, route, outcome),
            (Err(_), _) => slf.borrow_mut().reactor.decline(token, Refusal::Broken, ""),
        }
    }

    /// Its first step is over, and it waits.
    fn went_on(slf: &Bound<'_, Self>, route: u32, admission: Option<Admission>) {
        if let Some(admission) = admission {
            let mut engine = slf.borrow_mut();
            engine.entering = None;
            let now = plane::now();
            if let Some(rules) = engine.rules(slf.py(), route) {
                rules.get().stepped(&admission, now.saturating_sub(admission.began));
            }
        }
    }

    /// Calls the endpoint in its context; a coroutine becomes a task and is stepped.
    fn begin<'py>(
        slf: &Bound<'py, Self>,
        exchange: &mut Lazy<'_, 'py>,
        route: &Route,
        context: &Object<'py>,
        target: &Target<'_>,
        spare: &mut Option<Py<RequestTask>>,
    ) -> PyResult<Outcome<'py>> {
        calls::in_context(context, || {
            let py = slf.py();
            let endpoint = target.endpoint.bind(py);
            let runtime = route.runtime.bind(py);
            if !target.inert {
                runtime.get().rest_no_more(py)?;
            }
            if let Some((quiet, drawn)) = target.quiet {
                quiet.enter(py, drawn)?;
            }
            let value = Self::call(exchange, target, endpoint)?;
            if !runtime.get().is_coroutine(&value) {
                return Ok(Outcome::Done(value));
            }
            RequestTask::begin(runtime, value, context, Some(spare), |task| {
                let exchange = exchange.object()?;
                Self::suspend(slf, exchange, route, task);
                let duty = Duty::Exchange(exchange.clone().unbind());
                Ok(Owner { engine: slf.clone().unbind(), duty })
            })
        })?
    }

    fn call<'py>(
        exchange: &mut Lazy<'_, 'py>,
        target: &Target<'_>,
        endpoint: &Object<'py>,
    ) -> PyResult<Object<'py>> {
        if target.bare {
            return calls::call(endpoint, []);
        }
        if let (Some(typed), Some(body)) = (target.typed, exchange.body()) {
            if let Some(value) = typed.call(endpoint.py(), body)? {
                return Ok(value);
            }
        }
        calls::call(endpoint, [exchange.object()?.as_any()])
    }

    fn suspend(
        slf: &Bound<'_, Self>,
        exchange: &Bound<'_, Exchange>,
        route: &Route,
        task: &Bound<'_, RequestTask>,
    ) {
        let this = exchange.get();
        let mut engine = slf.borrow_mut();
        let index = this.token.index as usize;
        if engine.slots.len() <= index {
            engine.slots.resize(index + 1, 0);
        }
        engine.slots[index] = this.serial;
        let held = (task.clone().unbind(), exchange.clone().unbind());
        engine.running.insert(this.serial, held);
        // Of a socket, the deadline bounded the handshake.
        let now = engine.reactor.now();
        let own = route.deadline.map(|deadline| now + (deadline * 1e9) as u64);
        let at = this.admission.and_then(|admission| admission.deadline).or(own);
        if let Some(at) = at.filter(|_| !this.is_upgraded()) {
            engine.reactor.set_deadline(this.token, at);
        }
    }

    /// A suspended handler has ended; called by its task, from the loop.
    pub fn complete(
        slf: &Bound<'_, Self>,
        exchange: &Bound<'_, Exchange>,
        outcome: Outcome<'_>,
    ) -> PyResult<()> {
        let this = exchange.get();
        let (held, route, waiters) = {
            let mut engine = slf.borrow_mut();
            engine.reactor.touch();
            let held = engine.running.remove(&this.serial);
            // Hashing three keys for nothing was a fifth of a suspension.
            let waiters = (!engine.waiters.is_empty()).then(|| {
                let waits = [Wait::Drain, Wait::Body, Wait::Gone];
                waits.map(|wait| engine.waiters.remove(&(this.serial, wait)))
            });
            (held, engine.route(slf.py(), this.route), waiters)
        };
        if let Some(route) = route {
            Self::answer(slf, exchange, route.get(), outcome);
        }
        // Dropped with nothing borrowed: that may run finalizers, which may call us.
        drop((held, waiters));
        Self::pump(slf)
    }

    fn route<'py>(&self, py: Python<'py>, index: u32) -> Option<Bound<'py, Route>> {
        let route = match index {
            FALLBACK => self.fallback.as_ref(),
            index => self.routes.get(index as usize),
        };
        route.map(|route| route.bind(py).clone())
    }
}
