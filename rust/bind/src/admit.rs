//! Requests in front of their gates: asked in the engine, and given back when they end.
use crate::address::Addresses;
use crate::engine::{Engine, FALLBACK};
use crate::exchange::Exchange;
use crate::gate::{Admission, Asked, Rules};
use crate::proxies::Proxies;
use plane::Outcome;
use poll::{Incoming, Reactor};
use pyo3::prelude::*;
use std::borrow::Cow;
use std::cell::RefCell;
use wire::{Span, percent};

/// A request as it was read.
struct Native<'a> {
    py: Python<'a>,
    incoming: &'a Incoming,
    params: &'a [Span],
    addresses: RefCell<&'a mut Addresses>,
    reactor: &'a Reactor,
    proxies: &'a Proxies,
}

impl Native<'_> {
    fn each(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let of = |span: Span| span.of(&self.incoming.bytes);
        self.incoming.head.fields.iter().map(move |field| (of(field.name), of(field.value)))
    }
}

impl Asked for Native<'_> {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut each = self.each();
        let found = each.find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| Cow::Borrowed(value))
    }

    fn client(&self) -> Option<String> {
        let (peer, _) =
            self.addresses.borrow_mut().of(self.py, self.reactor, self.incoming.token).ok()?;
        let peer: Option<(String, u16)> = peer.extract(self.py).ok()?;
        let peer = peer.map(|(host, _)| host);
        if self.proxies.is_empty() {
            return peer;
        }
        let origin = self.proxies.origin(peer.as_deref(), self.each());
        origin.client.map(|address| address.ip().to_string()).or(peer)
    }

    fn param(&self, index: usize) -> Option<Cow<'_, [u8]>> {
        let path = self.incoming.head.path.of(&self.incoming.bytes);
        let text = percent::decode(self.params.get(index)?.of(path));
        Some(Cow::Owned(text.into_owned().into_bytes()))
    }
}

impl Engine {
    /// A turn's events have become known.
    pub fn turn_begins(&mut self) {
        let now = self.reactor.now();
        self.left = None;
        self.lag.turn(now);
    }

    /// The rules of a route; they may be others by the next request.
    pub fn rules<'py>(&self, py: Python<'py>, route: u32) -> Option<Bound<'py, Rules>> {
        let gate = match route {
            FALLBACK => self.fallback_gate.as_ref(),
            index => self.gates.get(index as usize)?.as_ref(),
        };
        gate?.get().rules(py)
    }

    /// Lets a request pass the rules of its route, or answers it.
    ///
    /// # Errors
    /// It has been answered, or Python is to say that it is refused.
    pub fn admit(
        &mut self,
        py: Python<'_>,
        route: u32,
        incoming: &Incoming,
        params: &[Span],
    ) -> Result<Option<Admission>, Option<PyErr>> {
        let Some(rules) = self.rules(py, route) else { return Ok(None) };
        let rules = rules.get();
        let left = self.left.take().filter(|(token, _)| *token == incoming.token);
        let now = left.map_or_else(plane::now, |(_, at)| at);
        self.lag.wanted |= rules.sheds();
        let (reactor, proxies) = (&self.reactor, &self.proxies);
        let addresses = RefCell::new(&mut self.addresses);
        let asked = Native { py, incoming, params, addresses, reactor, proxies };
        match rules.admit(&asked, &self.lag.signals, now) {
            Ok(admission) => {
                self.entering = Some((route, admission));
                Ok(Some(admission))
            }
            Err(refused) => {
                let Some(said) = rules.answer(&refused) else {
                    return Err(Some(rules.error(py, &refused)));
                };
                let fields = rules.fields(&asked, &refused);
                let rendered = [&said.rendered, fields.as_bytes()].concat();
                self.reactor.refuse_with(incoming.token, said.status, &rendered, &said.body);
                Err(None)
            }
        }
    }

    /// What passed has ended, now, which is given; `stepped` is when its first step began, where
    /// it had no other.
    pub fn leave(
        &mut self,
        py: Python<'_>,
        route: u32,
        admission: &Admission,
        outcome: Outcome,
        stepped: Option<u64>,
    ) -> u64 {
        let now = plane::now();
        self.entering = None;
        // Rules may have changed meanwhile: what is given back to is found by the same names.
        if let Some(rules) = self.rules(py, route) {
            let stepped = stepped.map(|began| now.saturating_sub(began));
            rules.get().leave(admission, outcome, stepped, now);
        }
        now
    }

    /// The same for one that Python has seen; once.
    pub fn leave_exchange(slf: &Bound<'_, Self>, exchange: &Exchange, outcome: Outcome) {
        if let Some(admission) = exchange.take_admission() {
            slf.borrow_mut().leave(slf.py(), exchange.route, &admission, outcome, None);
        }
    }
}
