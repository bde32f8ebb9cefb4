//! What every storage promises, held against each of them: the embedded one, and Postgres where
//! `SYNCLINE_POSTGRES_URL` names a database. Each test has a folder or a schema of its own.

#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
mod contract;
mod copying;
mod database;
mod proxy;
mod requests;
mod schema;
mod support;
mod transfer;

/// Runs each scenario on each storage; those that come first, which have each statement once, on tables in parts as well.
macro_rules! on_each_storage {
    (also on partitions: { $($parted:ident),* $(,)? } $($whole:ident),* $(,)?) => {
        mod on_sled {
            $(#[test] fn $parted() { crate::support::on_sled(crate::contract::$parted); })*
            $(#[test] fn $whole() { crate::support::on_sled(crate::contract::$whole); })*
        }
        mod on_postgres {
            $(#[test] fn $parted() { crate::support::on_postgres(crate::contract::$parted); })*
            $(#[test] fn $whole() { crate::support::on_postgres(crate::contract::$whole); })*
        }
        mod on_partitions {
            $(#[test] fn $parted() { crate::support::on_partitions(crate::contract::$parted); })*
        }
    };
}

on_each_storage!(
    also on partitions: {
        a_push_made_again_is_answered_as_the_first_time,
        the_oldest_rejections_are_dropped_and_the_numbers_stay_used_up,
        a_client_belongs_to_the_first_user_who_pushes_with_it,
        pages_follow_each_other_without_gap,
        a_narrowed_page_passes_over_other_collections,
        heads_tell_where_each_log_ends,
        documents_are_read_by_their_names,
        a_collection_is_listed_in_the_order_of_ids,
        lists_and_reads_by_name_are_bounded_in_bytes,
        rooms_are_listed_in_the_order_of_their_names,
        a_write_on_terms_is_answered_again_by_its_receipt,
        pages_of_any_size_pass_over_receipts,
        deletions_of_large_documents_are_read_in_parts,
        rooms_are_apart,
        deletions_beyond_the_bound_are_purged_and_readers_below_the_floor_start_over,
        deletions_past_their_retention_are_purged_in_the_background,
        pushes_at_once_are_gapless_and_told_in_order,
        everything_is_there_after_a_restart,
    }
    a_push_is_numbered_told_and_read,
    a_conflict_is_answered_with_the_document_and_again_when_asked_again,
    a_refused_batch_has_no_effect,
    every_value_comes_back_exactly,
    a_page_is_bounded_in_bytes_and_holds_at_least_one_change,
    of_writes_upon_one_place_at_once_one_is_made,
    a_push_that_reads_or_writes_too_much_is_made_in_parts,
    a_closed_storage_answers_unavailable,
);
