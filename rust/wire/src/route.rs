//! Which route answers: a radix tree over paths (the `matchit` crate) for each method.
//!
//! A path without parameters is looked up in a sorted list first: most requests of a service are
//! for few of those, and the tree takes three times as long to say the same.
//!
//! Paths are matched as sent, percent-encoded, and parameters decoded after: an escaped slash in
//! a parameter cannot pick another route.
use crate::head::Span;
use std::cmp::Ordering;

/// The most parameters that a pattern may have; they lie inline in every match.
pub const MOST_PARAMS: usize = 8;

/// The method of routes that answer WebSockets: no token, so no client can send it as its own.
pub const WEBSOCKET: &str = "(websocket)";

/// The method of routes that answer whatever has no route of its own, but no WebSocket.
pub const ANY: &str = "(any)";

/// What a look-up gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This route, its parameters as spans of the path, and how many.
    Route(usize, [Span; MOST_PARAMS], usize),
    /// No pattern has that path.
    Nothing,
    /// The path knows other methods: [`Router::allow`] names them.
    OtherMethods,
    /// The path only speaks WebSocket.
    OnlyWebSocket,
}

/// Patterns and methods to route numbers: a tree a method, so that `GET /users/me` does not hide
/// `DELETE /users/{id}` from `DELETE /users/me`.
#[derive(Default)]
pub struct Router {
    trees: Vec<(String, Tree)>,
}

/// The patterns of a method.
#[derive(Default)]
struct Tree {
    all: matchit::Router<usize>,
    /// Those that are paths themselves, sorted by their length first, which is all that most
    /// comparisons need. The tree would find them before any parameter.
    plain: Vec<(Box<[u8]>, usize)>,
}

fn by_length(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

impl Tree {
    fn add(&mut self, pattern: &str, route: usize) -> Result<(), matchit::InsertError> {
        self.all.insert(pattern, route)?;
        if !pattern.contains(['{', '}']) {
            let path = pattern.as_bytes();
            let at = self.plain.partition_point(|(known, _)| by_length(known, path).is_lt());
            self.plain.insert(at, (path.into(), route));
        }
        Ok(())
    }

    fn plain(&self, path: &[u8]) -> Option<usize> {
        let found = self.plain.binary_search_by(|(known, _)| by_length(known, path));
        found.ok().map(|at| self.plain[at].1)
    }
}

impl Router {
    /// Lets `route` answer `method` on `pattern`; GET answers HEAD too, unless HEAD has a route.
    ///
    /// # Errors
    /// A sentence: the pattern is malformed or in conflict with another of that method.
    pub fn add(&mut self, method: &str, pattern: &str, route: usize) -> Result<(), String> {
        if pattern.matches('{').count() > MOST_PARAMS {
            return Err(format!("{pattern} has more than {MOST_PARAMS} parameters"));
        }
        if !pattern.starts_with('/') {
            return Err(format!("{pattern} does not begin with a slash"));
        }
        let known = self.trees.iter().position(|(name, _)| name == method);
        let index = known.unwrap_or_else(|| {
            self.trees.push((method.to_owned(), Tree::default()));
            self.trees.len() - 1
        });
        self.trees[index].1.add(pattern, route).map_err(|error| format!("{pattern}: {error}"))
    }

    /// Finds who answers `method` on `path`.
    pub fn find(&self, method: &[u8], path: &[u8]) -> Found {
        let tree = self.tree(method);
        if let Some(route) = tree.and_then(|tree| tree.plain(path)) {
            return Found::Route(route, [Span::default(); MOST_PARAMS], 0);
        }
        let Ok(text) = std::str::from_utf8(path) else { return Found::Nothing };
        let found = self.at(method, text);
        let found = found.or_else(|| if method == b"HEAD" { self.at(b"GET", text) } else { None });
        let plain = method != WEBSOCKET.as_bytes();
        let found = found.or_else(|| if plain { self.at(ANY.as_bytes(), text) } else { None });
        if let Some((route, spans, count)) = found {
            return Found::Route(route, spans, count);
        }
        let mut known = self.known(text);
        match known.next() {
            None => Found::Nothing,
            Some(WEBSOCKET) if known.next().is_none() => Found::OnlyWebSocket,
            Some(_) => Found::OtherMethods,
        }
    }

    fn tree(&self, method: &[u8]) -> Option<&Tree> {
        let found = self.trees.iter().find(|(name, _)| name.as_bytes() == method);
        found.map(|(_, tree)| tree)
    }

    fn at(&self, method: &[u8], text: &str) -> Option<(usize, [Span; MOST_PARAMS], usize)> {
        let hit = self.tree(method)?.all.at(text).ok()?;
        let mut spans = [Span::default(); MOST_PARAMS];
        let mut count = 0;
        for (span, (_, value)) in spans.iter_mut().zip(hit.params.iter()) {
            let at = (value.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            *span = Span { at: at as u16, len: value.len() as u16 };
            count += 1;
        }
        Some((*hit.value, spans, count))
    }

    /// The methods of a path.
    fn known<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let known = self.trees.iter().filter(move |(_, tree)| tree.all.at(text).is_ok());
        known.map(|(name, _)| name.as_str())
    }

    /// The Allow field of a path.
    pub fn allow(&self, path: &[u8]) -> String {
        let text = std::str::from_utf8(path).unwrap_or_default();
        let mut names: Vec<&str> = self.known(text).filter(|name| !name.starts_with('(')).collect();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router {
        let mut router = Router::default();
        router.add("GET", "/", 0).unwrap();
        router.add("GET", "/items/{id}", 1).unwrap();
        router.add("PUT", "/items/{id}", 2).unwrap();
        router.add("GET", "/items/new", 3).unwrap();
        router.add("GET", "/files/{*rest}", 4).unwrap();
        router
    }

    fn hit(method: &str, path: &str) -> Option<(usize, Vec<String>)> {
        match router().find(method.as_bytes(), path.as_bytes()) {
            Found::Route(route, spans, count) => {
                let text = |span: &Span| String::from_utf8(span.of(path.as_bytes()).to_vec());
                Some((route, spans[..count].iter().map(|span| text(span).unwrap()).collect()))
            }
            _ => None,
        }
    }

    #[test]
    fn static_before_parameter_before_rest() {
        assert_eq!(hit("GET", "/"), Some((0, vec![])));
        assert_eq!(hit("GET", "/items/7"), Some((1, vec!["7".into()])));
        assert_eq!(hit("GET", "/items/new"), Some((3, vec![])));
        assert_eq!(hit("GET", "/files/a/b"), Some((4, vec!["a/b".into()])));
        assert_eq!(hit("HEAD", "/items/7"), Some((1, vec!["7".into()])));
        assert_eq!(hit("GET", "/items/a%2Fb"), Some((1, vec!["a%2Fb".into()])));
    }

    #[test]
    fn any_method_gives_way_to_its_own_and_is_no_websocket() {
        let mut router = router();
        router.add(ANY, "/items/{*rest}", 5).unwrap();
        let found = |method: &str| match router.find(method.as_bytes(), b"/items/7") {
            Found::Route(route, ..) => Some(route),
            _ => None,
        };
        assert_eq!([found("GET"), found("HEAD"), found("PUT")], [Some(1), Some(1), Some(2)]);
        assert_eq!([found("POST"), found("BREW"), found(WEBSOCKET)], [Some(5), Some(5), None]);
    }

    #[test]
    fn another_method_is_told_from_nothing() {
        let router = router();
        assert_eq!(router.find(b"POST", b"/items/7"), Found::OtherMethods);
        assert_eq!(router.allow(b"/items/7"), "GET, PUT, HEAD");
        assert_eq!(router.find(b"GET", b"/nope"), Found::Nothing);
        assert_eq!(router.find(b"GET", b"/\xff"), Found::Nothing);
    }

    #[test]
    fn a_websocket_stands_beside_other_methods_and_is_none_of_them() {
        let mut router = router();
        router.add(WEBSOCKET, "/items/{id}", 5).unwrap();
        router.add(WEBSOCKET, "/feed", 6).unwrap();
        assert!(matches!(router.find(WEBSOCKET.as_bytes(), b"/feed"), Found::Route(6, ..)));
        assert_eq!(router.find(b"GET", b"/feed"), Found::OnlyWebSocket);
        assert_eq!(router.find(b"POST", b"/items/7"), Found::OtherMethods);
        assert_eq!(router.allow(b"/items/7"), "GET, PUT, HEAD");
        assert_eq!(router.find(WEBSOCKET.as_bytes(), b"/"), Found::OtherMethods);
    }

    #[test]
    fn a_static_path_of_one_method_hides_no_parameter_of_another() {
        assert_eq!(hit("PUT", "/items/new"), Some((2, vec!["new".into()])));
    }

    #[test]
    fn conflicts_and_nonsense_are_refused() {
        let mut router = router();
        assert!(router.add("GET", "/items/{id}", 9).is_err());
        assert!(router.add("GET", "/items/{other}", 9).is_err());
        assert!(router.add("GET", "items", 9).is_err());
        assert!(router.add("GET", "/{a", 9).is_err());
        assert!(router.add("GET", &"/{a}".repeat(9), 9).is_err());
    }
}
