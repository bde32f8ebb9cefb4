//! What a query selects: the language that watches on the device and lists on the server share.
//!
//! - [`filter`]: which documents. [`order`]: in which order. [`selection`]: both, and the window.

pub mod filter;
pub mod order;
pub mod selection;

pub use filter::Filter;
pub use order::{Cursor, Direction, OrderBy, SortKey};
pub use selection::{Selection, SelectionError};
