//! The TypeScript declarations of the façade, from the types that serde encodes.

use syncline::config::RoomArgument;
use syncline::engine::io::{
    AppState, Command, ConnectionState, ConnectionStatus, Event, Network, ParkedWrite, PresentMember,
    PresentUser, Progress, ProgressPhase, QueueStatus, RejectedWrite, Reply, Resolution, RoomPhase,
    RoomStatus, Row, WriteRequest,
};
use syncline::engine::query::Query;
use syncline::engine::query::filter::Filter;
use syncline::engine::query::order::{Cursor, Direction, OrderBy};
use syncline::engine::queue::command::{
    DeadLetter, Enqueued, JobCommand, JobEvent, JobInfo, JobOutcome, JobReply, JobState, NewJob,
    ProcessReport,
};
use syncline::engine::socket::cause::DisconnectCause;
use syncline::engine::socket::types::{
    Answer, Answered, Emit, EmitWithAck, NamespaceOptions, NamespaceState, NamespaceStatus, SocketMessage,
    SocketRoom, Topic,
};
use syncline::engine::trace::{TraceEvent, TraceKind};
use syncline::job::{Category, DeadReason, JobError, JobKind, JobWork, LanePolicy};
use syncline::logging::{LogLevel, LogLine};
use syncline::metrics::{Latency, Quantiles, QueueDepth, Stats};
use syncline::schema::{Migration, MigrationStep, Schema};
use syncline::store::{Conflict, Index};
use syncline::transport::Parser;
use syncline::{ClientConfig, Code, CollectionOptions, ConflictStrategy, ErrorBody, Settings, StoreKind};
use syncline_protocol::error::Retry;
use syncline_protocol::message::PresenceStatus;
use syncline_protocol::{ConflictKind, Op, Write};
use ts_rs::{Config, TS};

use crate::device::{BackgroundOptions, DeviceOptions, Encryption};

const HEAD: &str = "\
// Generated from the Rust types by scripts/gen-contract. Do not edit.

/** What a document's fields hold. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key in string]: JsonValue };

/** Operations by path: names joined by dots; a dot or a backslash within a name is escaped by a backslash. */
export type Patch = { [path in string]: Op };

/** What every call of the façade answers. */
export type Envelope<T> = { ok: T } | { error: ErrorBody };
";

/// The contents of `contract.ts`.
pub fn typescript() -> String {
    let config = Config::default().with_large_int("number");
    let mut text = HEAD.to_owned();
    macro_rules! declare {
        ($($type:ty),* $(,)?) => { $( declare::<$type>(&config, &mut text); )* };
    }
    declare!(
        ClientConfig,
        DeviceOptions,
        Encryption,
        BackgroundOptions,
        Settings,
        RoomArgument,
        ConflictStrategy,
        CollectionOptions,
        Index,
        Schema,
        Migration,
        MigrationStep,
        StoreKind,
        Parser,
        Command,
        Query,
        Emit,
        EmitWithAck,
        Topic,
        Answer,
        SocketRoom,
        NamespaceOptions,
        Filter,
        OrderBy,
        Direction,
        Cursor,
        WriteRequest,
        Write,
        Op,
        AppState,
        Network,
        Reply,
        Row,
        ConnectionStatus,
        ConnectionState,
        DisconnectCause,
        Answered,
        NamespaceStatus,
        NamespaceState,
        SocketMessage,
        RoomStatus,
        RoomPhase,
        QueueStatus,
        JobCommand,
        NewJob,
        JobWork,
        JobKind,
        LanePolicy,
        JobReply,
        Enqueued,
        JobInfo,
        JobState,
        DeadLetter,
        DeadReason,
        JobError,
        Category,
        JobOutcome,
        ProcessReport,
        JobEvent,
        RejectedWrite,
        ParkedWrite,
        Conflict,
        ConflictKind,
        Resolution,
        PresentMember,
        PresentUser,
        PresenceStatus,
        Progress,
        ProgressPhase,
        Stats,
        Quantiles,
        Latency,
        QueueDepth,
        TraceEvent,
        TraceKind,
        LogLevel,
        LogLine,
        Event,
        ErrorBody,
        Retry,
        Code,
    );
    text
}

fn declare<T: TS>(config: &Config, text: &mut String) {
    text.push('\n');
    if let Some(docs) = T::docs() {
        text.push_str(&docs);
    }
    text.push_str("export ");
    text.push_str(&T::decl(config));
    text.push('\n');
}
