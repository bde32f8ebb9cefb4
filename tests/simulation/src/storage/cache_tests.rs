#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::storage::SimulatedDisk;

const SEEDS: u64 = 100;

fn room() -> Room {
    Room::new("list:1").unwrap()
}

struct Setting {
    disk: SimulatedDisk,
    contents: CacheContents,
    random: Random,
}

impl Setting {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self { disk: SimulatedDisk::new(random.fork()), contents: CacheContents::default(), random }
    }

    fn open(&self) -> SimulatedCache {
        SimulatedCache::open(&self.contents, &self.disk.mount())
    }

    fn end_life(&mut self, ending: Ending) {
        match ending {
            Ending::Kill => self.disk.kill(),
            Ending::PowerLoss => self.disk.crash(),
        }
        self.contents.end_life(ending, &mut self.random);
    }
}

fn apply(cache: &mut SimulatedCache, cursor: u64) -> Result<(), StoreError> {
    let state = RoomState { cursor, ..RoomState::default() };
    cache.apply(&room(), &RoomUpdate { reset: false, documents: &[], state })
}

fn cursor(cache: &SimulatedCache) -> u64 {
    cache.rooms().unwrap().first().map_or(0, |(_, state)| state.cursor)
}

/// Where the cache stands after one flushed change and three that were not, over many seeds.
fn cursors_after(endings: &[Ending]) -> BTreeSet<u64> {
    let after = |seed| {
        let mut setting = Setting::new(seed);
        let mut cache = setting.open();
        apply(&mut cache, 1).unwrap();
        cache.flush().unwrap();
        (2..=4).for_each(|cursor| apply(&mut cache, cursor).unwrap());
        assert_eq!(cursor(&cache), 4);
        endings.iter().for_each(|&ending| setting.end_life(ending));
        cursor(&setting.open())
    };
    (0..SEEDS).map(after).collect()
}

#[test]
fn of_what_was_not_flushed_the_first_changes_may_be_there() {
    for endings in [&[Ending::Kill][..], &[Ending::PowerLoss], &[Ending::Kill, Ending::PowerLoss]] {
        assert_eq!(cursors_after(endings), BTreeSet::from([1, 2, 3, 4]), "{endings:?}");
    }
}

#[test]
fn a_loss_is_told_once_and_the_cache_goes_on_empty() {
    let setting = Setting::new(1);
    let mut cache = setting.open();
    apply(&mut cache, 1).unwrap();
    setting.contents.fail(CacheFault::Lost);
    assert!(matches!(apply(&mut cache, 2), Err(StoreError::CacheLost { .. })));
    assert!(cache.take_loss().is_some() && cache.take_loss().is_none());
    assert_eq!(cursor(&cache), 0);
    apply(&mut cache, 1).unwrap();
    assert_eq!(cursor(&cache), 1);
}

#[test]
fn nothing_is_added_to_a_lost_cache_before_the_loss_is_told() {
    let setting = Setting::new(1);
    let mut cache = setting.open();
    apply(&mut cache, 1).unwrap();
    setting.contents.fail(CacheFault::Lost);
    assert!(matches!(cache.rooms(), Err(StoreError::CacheLost { .. })));
    assert!(matches!(apply(&mut cache, 2), Err(StoreError::CacheLost { .. })));
    assert_eq!(cursor(&cache), 0);
    assert!(cache.take_loss().is_some());
    apply(&mut cache, 1).unwrap();
    assert_eq!(cursor(&cache), 1);
}

#[test]
fn a_failing_cache_fails_until_it_is_opened_again() {
    let setting = Setting::new(1);
    let cache = setting.open();
    setting.contents.fail(CacheFault::Failing);
    for _ in 0..3 {
        assert!(matches!(cache.rooms(), Err(StoreError::CacheLost { .. })));
    }
    drop(cache);
    let mut cache = setting.open();
    assert!(cache.take_loss().is_none());
    assert_eq!(cursor(&cache), 0);
}

#[test]
fn a_loss_while_it_was_closed_is_found_by_the_open() {
    let mut setting = Setting::new(1);
    let mut cache = setting.open();
    apply(&mut cache, 1).unwrap();
    cache.flush().unwrap();
    setting.end_life(Ending::PowerLoss);
    setting.contents.fail(CacheFault::Lost);
    let mut cache = setting.open();
    assert!(cache.take_loss().is_some());
    assert_eq!(cursor(&cache), 0);
}

#[test]
fn a_failed_sync_loses_the_cache() {
    let setting = Setting::new(1);
    let mut cache = setting.open();
    apply(&mut cache, 1).unwrap();
    setting.disk.fail_next_sync();
    assert!(matches!(cache.flush(), Err(StoreError::CacheLost { .. })));
    assert_eq!(cursor(&cache), 0);
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_reads_go_on() {
    let setting = Setting::new(1);
    let mut cache = setting.open();
    apply(&mut cache, 1).unwrap();
    setting.disk.set_space(Space::Full);
    assert!(matches!(cache.flush(), Err(StoreError::Full)));
    assert!((0..20).any(|_| matches!(apply(&mut cache, 1), Err(StoreError::Full))));
    assert_eq!(cursor(&cache), 1);
    setting.disk.set_space(Space::Free);
    cache.flush().unwrap();
}
