#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::store::fixtures::Random;

fn read(journal: &Journal, offset: u64) -> Result<Vec<u8>, StoreError> {
    let mut record = b"something else".to_vec();
    journal.read(offset, &mut record).map(|()| record)
}

const SEEDS: u64 = 300;

/// Fills a journal that is written anew.
fn with<'r>(
    records: &'r [&'static [u8]],
) -> impl FnOnce(&Journal, &mut AddRecord<'_>) -> Result<(), StoreError> + 'r {
    |_, add| records.iter().try_for_each(|record| add(record).map(drop))
}

struct Setting {
    directory: TempDir,
}

impl Setting {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }

    fn quarantine(&self) -> PathBuf {
        self.directory.path().join("quarantine")
    }

    fn open(&self) -> (Opened, Vec<Vec<u8>>) {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<(Opened, Vec<Vec<u8>>), StoreError> {
        let mut records = Vec::new();
        let quarantine = Quarantine::new(OsFiles, self.quarantine());
        let opened = Journal::open(
            place(self.directory.path()),
            &quarantine,
            None,
            &mut |Visited { record, .. }| {
                records.push(record.unwrap().to_vec());
            },
        )?;
        Ok((opened, records))
    }

    fn write(&self, records: &[Vec<u8>]) {
        let (opened, _) = self.open();
        let mut journal = opened.journal;
        for record in records {
            journal.append(record).unwrap();
        }
        journal.commit().unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    fn set_bytes(&self, bytes: &[u8]) {
        fs::write(self.path(), bytes).unwrap();
    }

    fn quarantined(&self) -> Vec<u8> {
        let mut files: Vec<_> =
            fs::read_dir(self.quarantine()).unwrap().map(|item| item.unwrap().path()).collect();
        files.sort();
        fs::read(files.last().unwrap()).unwrap()
    }
}

fn place(directory: &Path) -> Place<OsFiles> {
    let (_, tag_seed) = uuid::Uuid::now_v7().as_u64_pair();
    Place {
        files: OsFiles,
        directory: directory.to_owned(),
        preallocation_bytes: 256 << 10,
        tag_seed,
        keyring: Keyring::default(),
        is_spare_locked: false,
    }
}

fn records(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number; 20 + usize::from(number) * 7]).collect()
}

/// Where each record's frame stands.
fn frames(records: &[Vec<u8>]) -> Vec<Range<usize>> {
    let mut at = HEADER_BYTES;
    let frame = |record: &Vec<u8>| {
        let from = at;
        at += FRAME_HEADER_BYTES + record.len();
        from..at
    };
    records.iter().map(frame).collect()
}

#[test]
fn records_come_back_in_order() {
    let setting = Setting::new();
    let mut records = records(20);
    records.push(Vec::new());
    records.push(vec![0; RECORD_BYTES_MAX]);
    records.push(vec![0; 1]);
    setting.write(&records);
    let (opened, found) = setting.open();
    assert_eq!(found, records);
    assert!(opened.damage.is_empty() && !opened.created);
}

#[test]
fn a_record_over_the_cap_is_refused_and_the_others_stay() {
    let setting = Setting::new();
    let mut journal = setting.open().0.journal;
    journal.append(b"before").unwrap();
    assert!(matches!(journal.append(&vec![0; RECORD_BYTES_MAX + 1]), Err(StoreError::TooLarge { .. })));
    journal.append(b"after").unwrap();
    journal.commit().unwrap();
    assert_eq!(setting.open().1, [b"before".to_vec(), b"after".to_vec()]);
}

#[test]
fn a_torn_end_is_cut_back_wherever_it_was_torn() {
    let records = records(4);
    let frames = frames(&records);
    let setting = Setting::new();
    setting.write(&records);
    let whole = setting.bytes();
    for kept in frames[2].start..frames[3].end {
        let survivors = frames.iter().filter(|frame| frame.end <= kept).count();
        // The rest of the write never reached the disk.
        let mut torn = whole.clone();
        torn[kept..].fill(0);
        // A file that is really shorter.
        for bytes in [&torn[..], &whole[..kept]] {
            setting.set_bytes(bytes);
            let (opened, found) = setting.open();
            assert_eq!(found, records[..survivors], "torn at {kept}");
            let is_between_frames = frames.iter().any(|frame| frame.start == kept);
            let is_shorter = bytes.len() == kept;
            assert_eq!(opened.damage.is_empty(), is_between_frames && !is_shorter, "torn at {kept}");
            let mut journal = opened.journal;
            journal.append(b"next").unwrap();
            journal.commit().unwrap();
            let (opened, found) = setting.open();
            assert_eq!(found.last().unwrap(), b"next");
            assert_eq!((found.len(), opened.damage.len()), (survivors + 1, 0), "torn at {kept}");
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_costs_one_record_at_most() {
    let records = records(6);
    let frames = frames(&records);
    let setting = Setting::new();
    setting.write(&records);
    let whole = setting.bytes();
    let end = frames.last().unwrap().end;
    let mut random = Random(1);
    for at in 0..end + 40 {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << random.below(8);
        setting.set_bytes(&flipped);
        let (opened, found) = setting.open();
        let expected: Vec<_> = records
            .iter()
            .zip(&frames)
            .filter(|(_, frame)| !frame.contains(&at))
            .map(|(r, _)| r.clone())
            .collect();
        assert_eq!(found, expected, "byte {at}");
        assert_eq!(opened.damage.len(), 1, "byte {at}: {:?}", opened.damage);
        let damaged = frames.iter().find(|frame| frame.contains(&at)).cloned().unwrap_or(0..HEADER_BYTES);
        if at < end {
            assert_eq!(setting.quarantined(), flipped[damaged], "byte {at}");
        }
        let (opened, found) = setting.open();
        assert_eq!((found, opened.damage.len()), (expected, 0), "byte {at} again");
    }
}

#[test]
fn random_damage_leaves_every_undamaged_record() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let records: Vec<_> = (0..60u8).map(|n| vec![n; random.below(900) as usize]).collect();
        let frames = frames(&records);
        let setting = Setting::new();
        setting.write(&records);
        let mut bytes = setting.bytes();
        let end = frames.last().unwrap().end;
        let mut hit = Vec::new();
        for _ in 0..=random.below(4) {
            let at = random.below(end as u64) as usize;
            let range = match random.below(3) {
                0 => at..at + 1,
                1 => at / 4096 * 4096..at / 4096 * 4096 + 4096,
                _ => at..at + random.below(300) as usize,
            };
            for byte in &mut bytes[range.clone()] {
                *byte = if range.len() == 4096 { 0 } else { *byte ^ (1 + random.below(255) as u8) };
            }
            hit.push(range);
        }
        setting.set_bytes(&bytes);
        let (opened, found) = setting.open();
        let is_hit = |frame: &Range<usize>| hit.iter().any(|r| r.start < frame.end && frame.start < r.end);
        let mut left = found.iter();
        for (record, frame) in records.iter().zip(&frames) {
            if !is_hit(frame) {
                assert!(left.any(|found| found == record), "seed {seed}: lost {frame:?}, hit {hit:?}");
            }
        }
        assert!(found.iter().all(|found| records.contains(found)), "seed {seed}: made up a record");
        let mut journal = opened.journal;
        journal.append(b"next").unwrap();
        journal.commit().unwrap();
        let (opened, again) = setting.open();
        assert_eq!(again.len(), found.len() + 1, "seed {seed}");
        assert_eq!(opened.damage, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_zeroed_page_in_the_middle_is_damage_and_not_the_end() {
    let records: Vec<_> = (0..40u8).map(|n| vec![n; 400]).collect();
    let setting = Setting::new();
    setting.write(&records);
    let mut bytes = setting.bytes();
    bytes[4096..8192].fill(0);
    setting.set_bytes(&bytes);
    let (opened, found) = setting.open();
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(found.first(), records.first());
    assert_eq!(found.last(), records.last());
}

#[test]
fn a_lost_first_page_costs_only_what_stood_on_it() {
    let records: Vec<_> = (0..40u8).map(|n| vec![n; 400]).collect();
    let setting = Setting::new();
    setting.write(&records);
    let mut bytes = setting.bytes();
    bytes[..4096].fill(0);
    setting.set_bytes(&bytes);
    let (opened, found) = setting.open();
    assert_eq!(opened.damage.len(), 1);
    assert_eq!(found, records[10..]);
    assert_eq!(setting.open().1, records[10..]);
}

#[test]
fn garbage_instead_of_a_journal_is_set_aside() {
    for garbage in [&b""[..], b"x", &[0; 5000], &[0xF5; 5000]] {
        let setting = Setting::new();
        setting.set_bytes(garbage);
        let (opened, found) = setting.open();
        assert_eq!((found.len(), opened.damage.is_empty()), (0, false));
        let mut journal = opened.journal;
        journal.append(b"next").unwrap();
        journal.commit().unwrap();
        assert_eq!(setting.open().1, [b"next".to_vec()]);
    }
}

#[test]
fn a_frame_within_a_damaged_payload_is_not_taken_for_a_record() {
    let setting = Setting::new();
    let mut forged = Vec::new();
    encode_frame(&mut forged, 0x1234_5678, b"forged");
    setting.write(&[[b"text", &forged[..], b"text"].concat(), b"next".to_vec()]);
    let mut bytes = setting.bytes();
    bytes[HEADER_BYTES + FRAME_HEADER_BYTES] ^= 1;
    setting.set_bytes(&bytes);
    assert_eq!(setting.open().1, [b"next".to_vec()]);
}

#[test]
fn a_newer_format_is_refused_and_not_touched() {
    let setting = Setting::new();
    setting.write(&records(3));
    let mut bytes = setting.bytes();
    bytes[8..12].copy_from_slice(&7u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    setting.set_bytes(&bytes);
    let error = setting.try_open().unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 7, supported: 2 }));
    assert_eq!(setting.bytes(), bytes);
}

#[test]
fn a_rewrite_replaces_all_records_and_goes_on() {
    let setting = Setting::new();
    setting.write(&records(9));
    let mut journal = setting.open().0.journal;
    journal.append(b"committed by the rewrite, then replaced").unwrap();
    journal.rewrite(with(&[b"alive", b"as well"])).unwrap();
    journal.append(b"next").unwrap();
    journal.commit().unwrap();
    let (opened, found) = setting.open();
    assert_eq!(found, [b"alive".to_vec(), b"as well".to_vec(), b"next".to_vec()]);
    assert_eq!((opened.damage.len(), opened.journal.used_bytes()), (0, journal.used_bytes()));
}

#[test]
fn a_crash_within_a_rewrite_leaves_the_old_records() {
    let setting = Setting::new();
    setting.write(&records(9));
    let new = setting.directory.path().join(FILE_NEW);
    let rewritten = {
        let other = Setting::new();
        other.write(&records(2));
        other.bytes()
    };
    for length in [0, 1, HEADER_BYTES, HEADER_BYTES + 30, rewritten.len()] {
        fs::write(&new, &rewritten[..length]).unwrap();
        let (opened, found) = setting.open();
        assert_eq!((found, opened.damage.len()), (records(9), 0));
        assert!(!new.exists());
    }
}

#[test]
fn a_rewrite_that_cannot_be_written_changes_nothing() {
    let setting = Setting::new();
    setting.write(&records(3));
    let mut journal = setting.open().0.journal;
    fs::create_dir(setting.directory.path().join(FILE_NEW)).unwrap();
    assert!(matches!(journal.rewrite(with(&[b"alive"])), Err(StoreError::Io(_))));
    fs::remove_dir(setting.directory.path().join(FILE_NEW)).unwrap();
    journal.append(b"next").unwrap();
    journal.commit().unwrap();
    assert_eq!(setting.open().1, [&records(3)[..], &[b"next".to_vec()]].concat());
}

#[test]
fn the_quarantine_does_not_grow_for_ever() {
    let setting = Setting::new();
    for _ in 0..40 {
        setting.set_bytes(b"garbage");
        setting.open();
    }
    assert_eq!(fs::read_dir(setting.quarantine()).unwrap().count(), 16);
}

#[cfg(target_os = "linux")]
mod faults {
    use super::*;

    fn with_device(setting: &Setting, device: &str) -> Journal {
        setting.write(&records(3));
        let mut journal = setting.open().0.journal;
        journal.file = File::options().read(true).write(true).open(device).unwrap();
        journal
    }

    fn refuses_everything(journal: &mut Journal) {
        assert!(matches!(journal.append(b"later"), Err(StoreError::Journal(_))));
        assert!(matches!(journal.commit(), Err(StoreError::Journal(_))));
        assert!(matches!(journal.rewrite(with(&[b"later"])), Err(StoreError::Journal(_))));
    }

    #[test]
    fn nothing_is_accepted_after_a_failed_sync() {
        let setting = Setting::new();
        // Takes writes, and cannot be synced.
        let mut journal = with_device(&setting, "/dev/null");
        journal.append(b"lost").unwrap();
        assert!(matches!(journal.commit(), Err(StoreError::Journal(_))));
        refuses_everything(&mut journal);
        assert_eq!(setting.open().1, records(3));
    }

    #[test]
    fn nothing_is_accepted_when_a_failed_write_cannot_be_taken_back() {
        let setting = Setting::new();
        let mut journal = with_device(&setting, "/dev/full");
        journal.append(b"lost").unwrap();
        assert!(matches!(journal.commit(), Err(StoreError::Journal(_))));
        refuses_everything(&mut journal);
        assert_eq!(setting.open().1, records(3));
    }

    #[test]
    fn a_failed_write_is_final() {
        let setting = Setting::new();
        let mut journal = with_device(&setting, "/dev/null");
        journal.file = File::open(setting.path()).unwrap();
        journal.append(b"lost").unwrap();
        assert!(matches!(journal.commit(), Err(StoreError::Journal(_))));
        refuses_everything(&mut journal);
    }
}

#[test]
fn a_record_is_read_wherever_it_is_and_nothing_else_passes_for_one() {
    const LONG: usize = 3000;
    let setting = Setting::new();
    let mut journal = setting.open().0.journal;
    let record = |number: u64| vec![number as u8; if number.is_multiple_of(7) { LONG } else { 100 }];
    let mut offsets = Vec::new();
    // More than what is kept in memory.
    for number in 0..1000 {
        offsets.push(journal.append(&record(number)).unwrap());
        if number % 10 == 0 {
            journal.commit().unwrap();
        }
    }
    for (number, offset) in (0..).zip(&offsets) {
        assert_eq!(read(&journal, *offset).unwrap(), record(number), "record {number}");
    }
    for offset in [0, offsets[3] + 1, offsets[999] + 1, journal.end + 1] {
        assert!(matches!(read(&journal, offset), Err(StoreError::Unreadable(_))), "byte {offset}");
    }
    let mut moved = Vec::new();
    journal
        .rewrite(|before, add| {
            for offset in &offsets[..14] {
                moved.push(add(&read(before, *offset)?)?);
            }
            Ok(())
        })
        .unwrap();
    for (number, offset) in (0..).zip(&moved) {
        assert_eq!(read(&journal, *offset).unwrap(), record(number), "record {number}");
    }
    let mut bytes = setting.bytes();
    bytes[usize::try_from(moved[7]).unwrap() + LONG] ^= 1;
    setting.set_bytes(&bytes);
    assert!(matches!(read(&journal, moved[7]), Err(StoreError::Unreadable(_))));
    assert_eq!(read(&journal, moved[8]).unwrap(), record(8));
}

#[test]
fn records_behind_damage_are_found_where_they_were_moved_to() {
    let setting = Setting::new();
    setting.write(&(0..5).map(|number| vec![number; 200]).collect::<Vec<_>>());
    let mut bytes = setting.bytes();
    bytes[HEADER_BYTES + 216 + 100] ^= 1;
    setting.set_bytes(&bytes);
    let mut found = Vec::new();
    let quarantine = Quarantine::new(OsFiles, setting.quarantine());
    let opened = Journal::open(place(setting.directory.path()), &quarantine, None, &mut |visited| {
        found.push((visited.offset, visited.record.unwrap().to_vec()));
    });
    let Opened { journal, moved, .. } = opened.unwrap();
    let moved = moved.unwrap();
    assert_eq!(found.len(), 4);
    for (offset, record) in found {
        assert_eq!(read(&journal, moved.offset(offset).unwrap()).unwrap(), record);
    }
    assert_eq!(moved.offset(HEADER_BYTES as u64 + 216), None);
}
