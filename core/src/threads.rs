//! Threads of the core's own.

use crate::error::{Code, Error};

/// What a thread does. Boxed, so that starting one is compiled once for all of them.
pub(crate) type Body<'b> = Box<dyn FnOnce() + Send + 'b>;

/// Starts a thread with a name, and a stack of so many bytes.
pub(crate) fn spawn(name: &str, stack_bytes: usize, body: Body<'static>) -> Result<(), Error> {
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(stack_bytes);
    thread
        .spawn(body)
        .map(drop)
        .map_err(|error| Error::new(Code::Internal, format!("no thread could be started: {error}")))
}
