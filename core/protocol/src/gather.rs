//! Filling ordered maps and sets.

/// Like `collect`, for a map or a set that is not large: elements go in one by one.
///
/// `collect` sorts them first, with a sort that is compiled for each type of element: 4 KB of a phone's library every time.
pub trait Gather: Iterator + Sized {
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut collection = C::default();
        collection.extend(self);
        collection
    }
}

impl<I: Iterator> Gather for I {}
