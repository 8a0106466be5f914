//! A load generator: native threads, one epoll set each, and no Python.
//!
//! [`Run::start`] takes a [`Plan`] and gives threads that send it; [`Run::snapshot`] looks at them
//! while they work. In a closed loop every connection sends its next request after the previous
//! answer; in an open loop requests are due at a rate and latency counts from the moment one was due,
//! whether or not a connection was free then.
//!
//! # Theory
//!
//! A generator that waits for a slow answer before it schedules the next request asks fewer
//! questions exactly while the server is slow, so its percentiles leave out the victims
//! (coordinated omission, Gil Tene 2013; wrk2's README has the figures). The open loop here draws
//! its schedule ahead (`pace`), so a stall of one second at 1,000 requests a second is seen by
//! 1,000 requests.
//!
//! # Rules
//!
//! - A request belongs to the measured window by its intended start, not by its answer: a request
//!   cannot leave the window by being slow.
//! - Requests that time out are in the histogram with the time they waited. To leave them out would
//!   make a server look faster the more it fails.
//! - Every request that was written has an outcome: a status, or unknown.
//!
//! # Rejected
//!
//! - One thread per connection, or tokio: the generator shares two cores with the server it
//!   measures, so its own cost a request is the first requirement.
//! - A pool that opens connections as the open loop needs them (k6's virtual users): a generator
//!   short of them looks like a slow server. Here they are given, and waiting for one is latency.
//! - A histogram of our own: `hdrhistogram` (without its serialisation features) is the reference
//!   port and records in 3 ns; 100 lines of ours would only have been equal to it.
mod answer;
mod connection;
mod data;
mod dispatch;
mod http1;
mod http2;
mod lifecycle;
mod mix;
mod pace;
mod placeholder;
mod profile;
mod random;
mod run;
mod tally;
mod template;
mod think;
mod tls;
mod transport;
mod worker;

pub use data::Data;
pub use profile::Stretch;
pub use run::{Plan, Run, Snapshot, Stage, check};
pub use tally::{Failure, Latencies};
pub use template::{Malformed, Spec};
pub use think::Think;
pub use tls::Tls;
