//! What is known of queued writes without their bodies, which stay in the store: little enough to be held for as many
//! as a queue takes.

use std::collections::BTreeMap;

use syncline_protocol::{Collection, NameError, Room};

use super::packed::EntryHead;
use super::{DocumentKey, Entry};
use crate::numbered::Numbered;

/// Stands for a room and a collection of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(u32);

/// Rooms and collections that entries are in, each held once.
#[derive(Debug, Clone, Default)]
pub struct Scopes {
    by_name: BTreeMap<Room, BTreeMap<Collection, Scope>>,
    /// By number; `None` for one that is free.
    named: Vec<Option<Named>>,
    free: Vec<Scope>,
    /// The one that was held last: mostly it is the next one, too.
    last: Option<Scope>,
}

#[derive(Debug, Clone)]
struct Named {
    room: Room,
    collection: Collection,
    holders: u64,
}

impl Scopes {
    /// The scope that bears these names, if anybody holds it.
    pub fn find(&self, room: &str, collection: &str) -> Option<Scope> {
        self.by_name.get(room)?.get(collection).copied()
    }

    pub fn names(&self, scope: Scope) -> Option<(&Room, &Collection)> {
        self.named(scope).map(|named| (&named.room, &named.collection))
    }

    pub fn room(&self, scope: Scope) -> Option<&Room> {
        self.named(scope).map(|named| &named.room)
    }

    /// Counts one holder more of a scope.
    pub fn hold(&mut self, room: &Room, collection: &Collection) -> Scope {
        let found = self.find(room.as_str(), collection.as_str());
        let scope = found.unwrap_or_else(|| self.add(room.clone(), collection.clone()));
        self.hold_again(scope)
    }

    fn hold_names(&mut self, room: &str, collection: &str) -> Result<Scope, NameError> {
        let is_it = |named: &Named| named.room.as_str() == room && named.collection.as_str() == collection;
        let last = self.last.filter(|last| self.named(*last).is_some_and(is_it));
        let scope = match last.or_else(|| self.find(room, collection)) {
            Some(scope) => scope,
            None => self.add(Room::new(room)?, Collection::new(collection)?),
        };
        Ok(self.hold_again(scope))
    }

    /// Counts one holder more of a scope that is known.
    pub(super) fn hold_again(&mut self, scope: Scope) -> Scope {
        if let Some(Some(named)) = self.named.get_mut(scope.0 as usize) {
            named.holders += 1;
        }
        self.last = Some(scope);
        scope
    }

    fn add(&mut self, room: Room, collection: Collection) -> Scope {
        let named = Some(Named { room: room.clone(), collection: collection.clone(), holders: 0 });
        let scope = match self.free.pop() {
            Some(scope) => scope,
            None => {
                self.named.push(None);
                #[allow(clippy::cast_possible_truncation)]
                Scope((self.named.len() - 1) as u32)
            }
        };
        self.named[scope.0 as usize] = named;
        self.by_name.entry(room).or_default().insert(collection, scope);
        scope
    }

    /// Counts one holder less.
    pub fn release(&mut self, scope: Scope) {
        let Some(slot) = self.named.get_mut(scope.0 as usize) else { return };
        let Some(named) = slot else { return };
        named.holders -= 1;
        if named.holders > 0 {
            return;
        }
        if let Some(collections) = self.by_name.get_mut(&named.room) {
            collections.remove(&named.collection);
            if collections.is_empty() {
                self.by_name.remove(&named.room);
            }
        }
        *slot = None;
        self.free.push(scope);
    }

    /// The names of all that are held, and where in that list a scope's are.
    pub(super) fn listed(&self) -> (Vec<(Room, Collection)>, impl Fn(Scope) -> Option<u64>) {
        let (mut names, mut places) = (Vec::new(), Vec::with_capacity(self.named.len()));
        for named in &self.named {
            places.push(named.as_ref().map(|_| names.len() as u64));
            names.extend(named.iter().map(|named| (named.room.clone(), named.collection.clone())));
        }
        (names, move |scope| places.get(scope.0 as usize).copied().flatten())
    }

    /// Scopes of these names, which nobody holds yet; `None` if names are there twice.
    pub(super) fn from_list(names: Vec<(Room, Collection)>) -> Option<(Self, Vec<Scope>)> {
        let mut scopes = Self::default();
        let mut listed = Vec::with_capacity(names.len());
        for (room, collection) in names {
            if scopes.find(room.as_str(), collection.as_str()).is_some() {
                return None;
            }
            listed.push(scopes.add(room, collection));
        }
        Some((scopes, listed))
    }

    fn named(&self, scope: Scope) -> Option<&Named> {
        self.named.get(scope.0 as usize)?.as_ref()
    }
}

/// Tells documents of one collection apart, nearly always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdHash(pub(super) u32);

impl Scope {
    /// Both as one number, which compares as the pair does.
    pub(crate) fn and(self, id: IdHash) -> u64 {
        u64::from(self.0) << 32 | u64::from(id.0)
    }
}

impl IdHash {
    pub fn of(id: &str) -> Self {
        Self(crc32c::crc32c(id.as_bytes()))
    }

    pub const MIN: Self = Self(0);
    pub const MAX: Self = Self(u32::MAX);
}

/// A queued write without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub scope: Scope,
    pub id: IdHash,
    /// See [`Mutation::byte_len`](syncline_protocol::Mutation::byte_len).
    pub bytes: u64,
    pub queued_at_ms: u64,
}

impl Head {
    /// Of an entry, which holds its scope.
    pub(crate) fn of(entry: &Entry, scopes: &mut Scopes) -> Self {
        Self::weighed(entry, entry.mutation.byte_len() as u64, scopes)
    }

    /// The same, where its size is known.
    pub(crate) fn weighed(entry: &Entry, bytes: u64, scopes: &mut Scopes) -> Self {
        let Entry { room, mutation, queued_at_ms, .. } = entry;
        Self {
            scope: scopes.hold(room, &mutation.collection),
            id: IdHash::of(mutation.id.as_str()),
            bytes,
            queued_at_ms: *queued_at_ms,
        }
    }
}

/// What waited in the outbox when the journal was opened.
#[derive(Debug, Clone, Default)]
pub struct Queued {
    scopes: Scopes,
    heads: Numbered<Head>,
}

impl Queued {
    /// The scopes, with a holder for each of the heads.
    pub(super) fn from_parts(scopes: Scopes, heads: Numbered<Head>) -> Self {
        Self { scopes, heads }
    }

    pub(super) fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// In ascending order of the numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Head)> {
        self.heads.iter()
    }

    pub(super) fn insert(&mut self, head: &EntryHead<'_>) -> Result<(), NameError> {
        let scope = self.scopes.hold_names(head.room, head.collection)?;
        let new = Head { scope, id: IdHash::of(head.id), bytes: head.bytes, queued_at_ms: head.queued_at_ms };
        self.put(head.client_seq, new);
        Ok(())
    }

    pub(super) fn insert_entry(&mut self, entry: &Entry) {
        let head = Head::of(entry, &mut self.scopes);
        self.put(entry.mutation.client_seq, head);
    }

    fn put(&mut self, client_seq: u64, head: Head) {
        if let Some(old) = self.heads.insert(client_seq, head) {
            self.scopes.release(old.scope);
        }
    }

    pub(super) fn remove(&mut self, client_seq: u64) {
        if let Some(old) = self.heads.remove(client_seq) {
            self.scopes.release(old.scope);
        }
    }

    pub fn len(&self) -> usize {
        self.heads.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// In ascending order.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.heads.numbers()
    }

    pub(super) fn last_number(&self) -> Option<u64> {
        self.heads.last_number()
    }

    /// The scopes, with a holder for each head, and the heads by their numbers.
    pub(crate) fn into_parts(self) -> (Scopes, impl Iterator<Item = (u64, Head)>) {
        (self.scopes, self.heads.drain())
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        fn named(queued: &Queued) -> impl Iterator<Item = impl PartialEq> {
            queued.heads.iter().map(|(number, head)| {
                (number, queued.scopes.names(head.scope), head.id, head.bytes, head.queued_at_ms)
            })
        }
        named(self).eq(named(other))
    }
}

impl<'e> FromIterator<&'e Entry> for Queued {
    fn from_iter<I: IntoIterator<Item = &'e Entry>>(entries: I) -> Self {
        let mut queued = Self::default();
        entries.into_iter().for_each(|entry| queued.insert_entry(entry));
        queued
    }
}

impl DocumentKey {
    pub fn id_hash(&self) -> IdHash {
        IdHash::of(self.id.as_str())
    }
}
