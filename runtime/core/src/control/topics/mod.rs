//! The control plane's topics: requests and desired state in, answers, events and desired state
//! out.

mod listener;
mod publisher;

pub(crate) use listener::{Change, ControlConsumer, Incoming, Listener, StateRecord};
pub(crate) use publisher::{INPUT, PROCESS, Publisher};
