//! What a watch shows of its documents: which, in which order, how many.

use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::order::{Cursor, OrderBy};

/// What one evaluation of a filter may compare: conditions, and values of each `in`.
pub const FILTER_COST_MAX: usize = 1000;

/// Keys of an order.
pub const ORDER_KEYS_MAX: usize = 8;

/// Filters first, then orders, then takes the window. The default shows everything, in the order of ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(default, rename_all = "camelCase")]
#[cfg_attr(feature = "contract", ts(optional_fields))]
pub struct Selection {
    pub filter: Option<Filter>,
    /// The most significant key first. Documents that all keys leave equal are ordered by id, ascending.
    #[cfg_attr(feature = "contract", ts(as = "Option<Vec<OrderBy>>"))]
    pub order_by: Vec<OrderBy>,
    /// How many rows the window holds at most. With 0 only the count is told.
    pub limit: Option<u32>,
    /// Begins the window behind this row.
    pub after: Option<Cursor>,
}

/// Why a selection was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    #[error("the filter compares {cost} values, at most {FILTER_COST_MAX} are allowed")]
    FilterTooLarge { cost: usize },
    #[error("the order has {keys} keys, at most {ORDER_KEYS_MAX} are allowed")]
    TooManyKeys { keys: usize },
    #[error("the cursor has {values} values for the {keys} keys of the order")]
    CursorMismatch { values: usize, keys: usize },
}

impl Selection {
    /// Whether all documents are shown in the order of their ids.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what would cost too much, and a cursor of another order.
    pub fn check(&self) -> Result<(), SelectionError> {
        let cost = self.filter.as_ref().map_or(0, Filter::cost);
        if cost > FILTER_COST_MAX {
            return Err(SelectionError::FilterTooLarge { cost });
        }
        let keys = self.order_by.len();
        if keys > ORDER_KEYS_MAX {
            return Err(SelectionError::TooManyKeys { keys });
        }
        match &self.after {
            Some(cursor) if cursor.values.len() != keys => {
                Err(SelectionError::CursorMismatch { values: cursor.values.len(), keys })
            }
            _ => Ok(()),
        }
    }
}
