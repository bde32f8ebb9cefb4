// Generated from the Rust types by scripts/gen-contract. Do not edit.

/** What a document's fields hold. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key in string]: JsonValue };

/** Operations by path: names joined by dots; a dot or a backslash within a name is escaped by a backslash. */
export type Patch = { [path in string]: Op };

/** What every call of the façade answers. */
export type Envelope<T> = { ok: T } | { error: ErrorBody };

/**
 * How a client is opened.
 */
export type ClientConfig = { 
/**
 * Scheme, host and port of the server: `https://sync.example.com`.
 */
url: string, 
/**
 * Where Socket.IO listens; `/socket.io/` when absent.
 */
path?: string, 
/**
 * What the addresses of queued requests are relative to, and whose requests carry the token; `url` when absent.
 */
apiUrl?: string, 
/**
 * Where everything is kept; owned by this client. Needed unless `store` is `memory`.
 */
directory?: string, store?: StoreKind, 
/**
 * Encrypts everything in the directory: 32 random bytes in base64, which the app keeps in the system's key store.
 * A directory that is not encrypted yet is written anew; one encrypted with another key is refused, `wrong_key`.
 */
encryptionKey?: string, 
/**
 * Keys that the directory may still be encrypted with: then it is written anew with the present one, or in the
 * clear if there is none.
 */
previousEncryptionKeys?: Array<string>, 
/**
 * Names this installation of the app, in any way that a backup does not restore. Where the data turns out to be
 * another installation's, restored or copied, the client takes another id, and the writes that the other one may
 * have sent become outcomes.
 */
installationId?: string, token?: string, 
/**
 * The namespace of the session, `/` when absent. Others are used beside it.
 */
namespace?: string, 
/**
 * The notation of Socket.IO packets that the server is configured with.
 */
parser?: Parser, 
/**
 * A private authority to believe instead of the system's, as PEM.
 */
caPem?: string, 
/**
 * Keys that the server must have, as `sha256/` and the base64 of the SHA-256 of its SubjectPublicKeyInfo: at least two,
 * one in use and one in reserve. Checked after the certificate.
 */
pins?: Array<string>, 
/**
 * An HTTP proxy to go through: `http://user:password@host:port`, the credentials being optional.
 */
proxy?: string, 
/**
 * Whether to connect at once; `true` when absent.
 */
autoConnect?: boolean, 
/**
 * Who decides when two clients write a document at once; the server merges when absent.
 */
conflict?: ConflictStrategy, 
/**
 * What is different for some collections, by their names.
 */
collections?: Record<string, CollectionOptions>, 
/**
 * The version of the app's documents, and the migrations to it; version 1 when absent.
 */
schema?: Schema, settings?: Partial<Settings>, };

/**
 * Options of opening a client that the core does not know.
 */
export type DeviceOptions = { 
/**
 * Who makes and keeps the encryption key, in place of `encryptionKey`.
 */
encryption?: Encryption, 
/**
 * Synchronize in the background, without JavaScript, for as long as clients of this directory are opened with it.
 */
background?: BackgroundOptions, };

export type Encryption = "device";

/**
 * When and how long to synchronize in the background.
 */
export type BackgroundOptions = { 
/**
 * How long at least between two rounds; the system decides.
 */
everyMs?: number, 
/**
 * How long a round may take.
 */
deadlineMs?: number, };

/**
 * Limits and times of the client. Names end in their unit; JavaScript sees them in camel case.
 */
export type Settings = { 
/**
 * From dialing to an open Socket.IO session.
 */
connectTimeoutMs: number, 
/**
 * The pause before the first reconnect; doubles with each attempt, with jitter.
 */
reconnectDelayMs: number, reconnectDelayMsMax: number, 
/**
 * How long to wait before a server that does not speak this protocol, or whose key is not pinned, is tried again.
 */
unsupportedRetryMs: number, 
/**
 * How often to try all the same while the system says that there is no network.
 */
offlineProbeMs: number, 
/**
 * How long a request may wait for its answer before the connection counts as dead.
 */
requestTimeoutMs: number, 
/**
 * How long it may wait in all, while bytes of a message that is not whole yet come or go.
 */
transferTimeoutMs: number, 
/**
 * How long the first request after coming to the foreground may wait.
 */
probeTimeoutMs: number, 
/**
 * How long the app must have been in the background for its connection to be looked at when it comes back.
 */
foregroundCheckMs: number, 
/**
 * How far ahead of its expiry a token is replaced.
 */
tokenRefreshAheadMs: number, 
/**
 * How long a request for a token may wait for its answer.
 */
tokenTimeoutMs: number, 
/**
 * The pause before a token is asked for again; doubles with each failure, with jitter.
 */
tokenRetryDelayMs: number, tokenRetryDelayMsMax: number, 
/**
 * How often to ask an open connection what is new, without a reason, while the app is on screen; 0 for never. A lost
 * connection is tried again at times of its own.
 */
syncIntervalMs: number, 
/**
 * How long `pull` and `flush` wait for the server.
 */
syncTimeoutMs: number, 
/**
 * How often to ask for the heads of the rooms: what a lost live change would hide.
 */
presencePingMs: number, 
/**
 * How often, at most, a room is told of a new presence state: of several only the newest.
 */
presenceThrottleMs: number, 
/**
 * How long others shall see this client as away, rather than gone, while it is in the background. The server may
 * allow less.
 */
presenceBackgroundMs: number, 
/**
 * How long the socket stays open in the background.
 */
backgroundGraceMs: number, 
/**
 * How long a change of the cache may wait until it is durable.
 */
cacheFlushMs: number, 
/**
 * What the cache may take on the disk. Over it, rooms that nobody follows are evicted, the least recently used
 * first, while the app is in the background; over twice as much at once. They are read again from the server when
 * they are needed.
 */
cacheBytesMax: number, 
/**
 * How often to look, at most, whether the cache is over `cacheBytesMax`.
 */
cacheCheckMs: number, 
/**
 * How long a room or a push that was refused for now waits before the next try.
 */
retryDelayMs: number, 
/**
 * Entries that the outbox holds.
 */
queueCountMax: number, 
/**
 * Bytes that the outbox holds.
 */
queueBytesMax: number, 
/**
 * The fields of one document, or one patch.
 */
documentBytesMax: number, 
/**
 * All documents and patches of one call of `write`.
 */
writeBytesMax: number, 
/**
 * Mutations in one push.
 */
pushCountMax: number, 
/**
 * Bytes in one push, unless a single mutation is larger.
 */
pushBytesMax: number, 
/**
 * How long a write waits for others to be sent with, unless its collection says otherwise.
 */
pushDebounceMs: number, 
/**
 * How long a job waits to be done at most, unless it says otherwise; while the client is closed, by the device's clock.
 */
jobTtlMs: number, 
/**
 * Failed attempts after which a job is given up, unless it says otherwise; a missing network or token uses up none.
 */
jobAttemptsMax: number, 
/**
 * What one job does, with its arguments or its body, and what is kept of its result.
 */
jobBytesMax: number, 
/**
 * Jobs of one kind under way at once, each of another lane.
 */
jobsParallelMax: number, 
/**
 * Events of one lane sent and not yet acknowledged, where they need not wait for each other.
 */
jobStreamMax: number, 
/**
 * How long the journal may wait to be told that an event is done, while more of the queue is under way. What was done
 * within before a crash is sent again, under the same key.
 */
jobEndDelayMs: number, 
/**
 * The pause of a lane after its first failure is anything up to this; doubles with each failure in a row.
 */
jobRetryDelayMs: number, jobRetryDelayMsMax: number, 
/**
 * How long a queued event waits for its acknowledgement on an open connection.
 */
jobAckTimeoutMs: number, 
/**
 * How long a handler has for a job before it is offered again.
 */
jobLeaseMs: number, 
/**
 * Whether a queued event carries `{idempotencyKey}` as its last argument.
 */
jobIdempotencyArgument: boolean, 
/**
 * Whether jobs are done without being asked for.
 */
jobAuto: boolean, 
/**
 * From dialing to the whole response of a queued request.
 */
httpTimeoutMs: number, 
/**
 * The largest response that a queued request takes.
 */
httpResponseBytesMax: number, 
/**
 * Bytes pushed and not yet answered.
 */
pushWindowBytes: number, 
/**
 * Rooms whose pages are asked for at once.
 */
pullsParallelMax: number, 
/**
 * Changes in one page.
 */
pageCountMax: number, 
/**
 * Events that `trace` remembers.
 */
traceEventsMax: number, 
/**
 * How long an event with an answer, or a room, waits for it, unless the call says otherwise.
 */
emitTimeoutMs: number, 
/**
 * Events that wait in memory for a connection.
 */
emitBufferCountMax: number, 
/**
 * Bytes that wait in memory for a connection.
 */
emitBufferBytesMax: number, 
/**
 * Events of the app that wait for the server's answer.
 */
answersAwaitedMax: number, 
/**
 * Events of the server that wait for the app's answer; beyond, the oldest gets none.
 */
answersOwedMax: number, 
/**
 * Events of the server that the app has not taken; beyond, the oldest are dropped.
 */
inboxCountMax: number, 
/**
 * Bytes of events of the server that the app has not taken; beyond, the oldest are dropped.
 */
inboxBytesMax: number, 
/**
 * Different events that are listened to.
 */
listenersMax: number, 
/**
 * Namespaces beside the client's own.
 */
namespacesMax: number, 
/**
 * Rooms joined by `joinRoom`.
 */
joinedRoomsMax: number, 
/**
 * How long a room that the server did not let the client into for now waits before the next try.
 */
roomRetryMs: number, 
/**
 * The event by which a room is joined.
 */
roomJoinEvent: string, 
/**
 * The event by which a room is left.
 */
roomLeaveEvent: string, 
/**
 * What these two carry.
 */
roomArgument: RoomArgument, 
/**
 * Whether the server answers them. If not, a room counts as joined once the server is told.
 */
roomAcked: boolean, 
/**
 * The `data` of a server's refusal is passed on up to this size.
 */
refusalDataBytesMax: number, 
/**
 * Values of `data.code` in a server's refusal that ask for another token, beside `unauthorized`.
 */
authErrorCodes: Array<string>, 
/**
 * Whether a connection needs a token. Without, a backend that knows no tokens can be used.
 */
tokenRequired: boolean, };

/**
 * How a room's name travels in the events that join and leave it.
 */
export type RoomArgument = "object" | "text";

/**
 * Who decides when two clients wrote a document without having seen each other's write.
 */
export type ConflictStrategy = "merge" | "last_write_wins" | "first_write_wins" | "server_wins" | "client_wins" | "manual";

/**
 * What an app says of one collection. What it leaves out is as for every other collection.
 */
export type CollectionOptions = { 
/**
 * Who decides when two clients write a document at once.
 */
conflict?: ConflictStrategy, 
/**
 * How long a write waits for others to be sent with; `pushDebounceMs` of the settings when absent.
 */
pushDebounceMs?: number, 
/**
 * Whether consecutive edits of one document that wait to be sent become one; `true` when absent.
 */
coalesce?: boolean, 
/**
 * By which fields documents can be found without visiting all of them; none when absent.
 */
indexes?: Array<Index>, };

/**
 * Finds documents by these fields, the first one first. Helps a filter that compares the first of them, or more, with
 * `eq`, and the next one with `eq`, `lt`, `lte`, `gt` or `gte`. A watch with a limit reads only the documents that it
 * shows if the index has the fields that its filter compares with `eq`, and then those of its order, all in one
 * direction, and nothing else.
 */
export type Index = { fields: Array<string>, };

/**
 * The shape that the app's documents have, as a number, and how to come to it.
 */
export type Schema = { 
/**
 * From 1 on.
 */
version: number, 
/**
 * One for each version up to this one, without gaps; those to versions that no device has any more may be
 * left out.
 */
migrations?: Array<Migration>, };

/**
 * What leads from one version to the next.
 */
export type Migration = { to: number, 
/**
 * In this order.
 */
steps: Array<MigrationStep>, };

/**
 * One change of shape.
 */
export type MigrationStep = { "renameField": { collection: string, from: string, to: string, } } | { "removeField": { collection: string, path: string, } } | { "setDefault": { collection: string, path: string, value: JsonValue, } } | { "renameCollection": { from: string, to: string, } } | { "removeCollection": { collection: string, } };

/**
 * Where a client keeps its data.
 */
export type StoreKind = "disk" | "memory";

/**
 * The notation of Socket.IO packets. Both ends must be configured with the same one.
 */
export type Parser = "json" | "msgpack";

/**
 * What an app asks for.
 */
export type Command = { "type": "connect" } | { "type": "disconnect" } | { "type": "setToken", token: string | null, 
/**
 * When it ends, in milliseconds since the epoch; read from the token itself when absent, if that is a JSON Web
 * Token.
 */
expiresAtMs?: number, } | { "type": "tokenFailed", message: string, 
/**
 * The request it answers; the one under way when absent.
 */
request?: number, retryable?: boolean, } | { "type": "setAppState", state: AppState, } | { "type": "setNetwork", network: Network, } | { "type": "subscribe", room: string, } | { "type": "unsubscribe", room: string, } | { "type": "write", writes: Array<WriteRequest>, } | { "type": "newId" } | { "type": "document", room: string, collection: string, id: string, } | { "type": "watch" } & Query | { "type": "unwatch", watch: number, } | { "type": "presenceJoin", room: string, state: { [key in string]: JsonValue }, } | { "type": "presenceUpdate", room: string, state: { [key in string]: JsonValue }, 
/**
 * After how long the fields of `state` vanish by themselves, for everybody; setting them again renews them.
 */
expiresInMs?: number, } | { "type": "presenceLeave", room: string, } | { "type": "emit" } & Emit | { "type": "emitWithAck" } & EmitWithAck | { "type": "on" } & Topic | { "type": "off" } & Topic | { "type": "ack" } & Answer | { "type": "joinRoom" } & SocketRoom | { "type": "leaveRoom" } & SocketRoom | { "type": "connectNamespace" } & NamespaceOptions | { "type": "disconnectNamespace", namespace: string, } | { "type": "connection" } | { "type": "queue" } | { "type": "outcomes" } | { "type": "acknowledgeOutcome", clientSeq: number, } | { "type": "conflicts" } | { "type": "resolveConflict", clientSeq: number, resolution: Resolution, } | { "type": "syncNow" } | { "type": "pull", room?: string, } | { "type": "flush" } | { "type": "syncOnce", deadlineMs: number, } | { "type": "stats" } | { "type": "trace" } | { "type": "jobs", command: JobCommand, } | { "type": "close" };

/**
 * A collection of a room, or one document of it, and what is shown of that.
 */
export type Query = { room: string, collection: string, 
/**
 * One document, or the whole collection when absent.
 */
id?: string, filter?: Filter, 
/**
 * The most significant key first. Documents that all keys leave equal are ordered by id, ascending.
 */
orderBy?: Array<OrderBy>, 
/**
 * How many rows the window holds at most. With 0 only the count is told.
 */
limit?: number, 
/**
 * Begins the window behind this row.
 */
after?: Cursor, };

/**
 * An event for the server. `namespace` is the client's own when absent, here and below.
 */
export type Emit = { namespace?: string, event: string, args: unknown[], 
/**
 * Whether it is worth nothing later: without a connection it is dropped.
 */
volatile?: boolean, };

/**
 * An event for the server to answer.
 */
export type EmitWithAck = { namespace?: string, event: string, args: unknown[], 
/**
 * How long to wait, from now, also for the connection; `emitTimeoutMs` when absent.
 */
timeoutMs?: number, };

/**
 * Events that the app listens to.
 */
export type Topic = { namespace?: string, 
/**
 * A name, `activity:*` for all names that begin so, or `*` for all.
 */
event: string, };

/**
 * The app's answer to an event of the server.
 */
export type Answer = { 
/**
 * The `ack` of the message.
 */
token: number, args: unknown[], };

/**
 * A room of the server's own making, without sync.
 */
export type SocketRoom = { namespace?: string, room: string, };

/**
 * A namespace beside the client's own.
 */
export type NamespaceOptions = { namespace: string, 
/**
 * Added to `{token}` in what the server is told; kept for later connections.
 */
auth?: Record<string, unknown>, };

/**
 * A condition on a document's fields. Values compare across kinds too: null < false < true < numbers < strings <
 * arrays < objects. A missing field fails every comparison, so it satisfies only `ne`, and `not` of what it fails.
 */
export type Filter = { "and": Array<Filter> } | { "or": Array<Filter> } | { "not": Filter } | { "eq": [string, JsonValue] } | { "ne": [string, JsonValue] } | { "lt": [string, JsonValue] } | { "lte": [string, JsonValue] } | { "gt": [string, JsonValue] } | { "gte": [string, JsonValue] } | { "in": [string, Array<JsonValue>] } | { "contains": [string, JsonValue] } | { "exists": string };

/**
 * One key of an order. A missing field counts as null.
 */
export type OrderBy = { path: string, 
/**
 * Ascending when absent.
 */
direction?: Direction, };

export type Direction = "asc" | "desc";

/**
 * The last row of a window: the next one begins behind it, whether or not that row is still there.
 */
export type Cursor = { 
/**
 * The row's values at the paths of `orderBy`, in that order; null for a missing one.
 */
values: Array<JsonValue>, id: string, };

export type WriteRequest = { room: string, collection: string, id: string, write: Write, };

/**
 * What a mutation does.
 */
export type Write = { "create": { [key in string]: JsonValue } } | { "update": Patch } | "delete";

/**
 * What happens to the value at a path.
 *
 * An increment or array operation that does not fit the value it finds (an increment of a string, a union into a
 * number), or whose path leads through something that is no object, changes nothing, on both ends. A set replaces
 * whatever its path leads through. A client refuses both before it accepts them, so this happens only when somebody
 * else changed the type meanwhile.
 */
export type Op = { "set": JsonValue } | "unset" | { "increment": JsonValue } | { "union": Array<JsonValue> } | { "remove": Array<JsonValue> } | { "append": Array<JsonValue> } | "server_time";

export type AppState = "active" | "inactive" | "background";

/**
 * What the system says of the network: a hint, never a gate.
 */
export type Network = { available: boolean, 
/**
 * Metered or slow.
 */
expensive: boolean, 
/**
 * `wifi`, `cellular`, `ethernet`, `none`, `unknown`; a change of kind means that sockets may be dead.
 */
kind: string, };

/**
 * The answer to a [`Command`].
 */
export type Reply = { clientSeqs: Array<number>, } | { id: string, } | { row: Row | null, } | { watch: number, rows: Array<Row>, count: number, room: RoomStatus, } | ConnectionStatus | QueueStatus | { outcomes: Array<RejectedWrite>, } | { conflicts: Array<ParkedWrite>, } | { 
/**
 * Whether everything written before is answered by the server, and every room has caught up.
 */
complete: boolean, 
/**
 * Writes not yet confirmed.
 */
pending: number, 
/**
 * Why it is not complete.
 */
reason: ErrorBody | null, } | { sent: boolean, 
/**
 * For a connection.
 */
waiting: boolean, } | Answered | { joined: boolean, } | NamespaceStatus | Stats | { events: Array<TraceEvent>, } | JobReply | Record<symbol, never>;

/**
 * A document as the app sees it: what the server confirmed, with pending writes applied.
 */
export type Row = { id: string, fields: { [key in string]: JsonValue }, 
/**
 * Where the room's log confirmed it last, 0 for never.
 */
seq: number, 
/**
 * Whether a write of this client is not confirmed yet.
 */
pending: boolean, };

/**
 * How the connection is.
 */
export type ConnectionStatus = { state: ConnectionState, 
/**
 * Why it is not open.
 */
reason: ErrorBody | null, 
/**
 * What ended the last connection or attempt, while none is open.
 */
cause: DisconnectCause | null, 
/**
 * What the server sent with its refusal of the last attempt: the `data` of its error.
 */
data: unknown, 
/**
 * Whether the server continued the session before, with the events missed since.
 */
recovered: boolean, 
/**
 * Attempts since the session was last open.
 */
attempts: number, 
/**
 * Milliseconds until the next attempt.
 */
retryInMs: number | null, 
/**
 * Whose token it is, once the server said so.
 */
userId: string | null, };

export type ConnectionState = "idle" | "connecting" | "open" | "backoff" | "suspended" | "offline" | "unauthorized" | "closed";

/**
 * What ended a connection. The error beside it says more, where something is wrong.
 */
export type DisconnectCause = "server_disconnect" | "namespace_disconnect" | "ping_timeout" | "request_timeout" | "connect_timeout" | "transport_closed" | "transport_error" | "connect_failed" | "refused" | "unauthorized" | "client_disconnect" | "suspended" | "token_changed" | "network_changed" | "network_lost" | "protocol_error";

/**
 * The server's answer to an event.
 */
export type Answered = { args: unknown[], };

export type NamespaceStatus = { namespace: string, state: NamespaceState, 
/**
 * Why it is not open.
 */
reason: ErrorBody | null, cause: DisconnectCause | null, 
/**
 * What the server sent with its refusal.
 */
data: unknown, 
/**
 * Whether the server continued the session before, with the events missed since.
 */
recovered: boolean, };

export type NamespaceState = "idle" | "connecting" | "open";

/**
 * An event of the server.
 */
export type SocketMessage = { namespace: string, event: string, args: unknown[], 
/**
 * The server waits for an answer: once, and on this connection.
 */
ack?: number, };

export type RoomStatus = { room: string, state: RoomPhase, 
/**
 * Whether the documents on this device were once all there are; `false` tells "empty" from "not loaded".
 */
complete: boolean, error: ErrorBody | null, };

export type RoomPhase = "waiting" | "loading" | "live" | "denied";

/**
 * What waits, and whether anything is being done about it.
 */
export type QueueStatus = { 
/**
 * Writes not yet confirmed, and jobs that have not ended.
 */
count: number, bytes: number, 
/**
 * Whether any is under way.
 */
processing: boolean, writes: number, events: number, requests: number, handlers: number, 
/**
 * Jobs that were given up and wait for the app's decision.
 */
deadLetters: number, 
/**
 * Whether jobs wait for another token, or are done only when asked for.
 */
paused: boolean, };

/**
 * What an app asks for.
 */
export type JobCommand = { "type": "enqueue", jobs: Array<NewJob>, } | { "type": "list", after?: number, } | { "type": "deadLetters" } | { "type": "outcomes" } | { "type": "acknowledge", job: number, } | { "type": "retry", job: number, work?: JobWork, } | { "type": "edit", job: number, work: JobWork, } | { "type": "drop", job: number, } | { "type": "clear", kinds?: Array<JobKind>, deadLetters?: boolean, } | { "type": "process" } | { "type": "setAuto", enabled: boolean, } | { "type": "registerHandlers", keys: Array<string>, } | { "type": "extendLease", job: number, lease: number, } | { "type": "complete", job: number, lease: number, result?: unknown, } | { "type": "fail", job: number, lease: number, category: Category, code?: string, message?: string, retryAfterMs?: number, };

/**
 * A job to be accepted.
 */
export type NewJob = { work: JobWork, 
/**
 * Jobs of one lane are done one after the other. The event, the endpoint or the key when absent.
 */
lane?: string, 
/**
 * What tells duplicates; what the job does, and its lane, when absent.
 */
dedupeKey?: string, 
/**
 * Whether a job that equals the last one of its lane, which waits, is that one; `true` when absent.
 */
dedupe?: boolean, 
/**
 * The higher, the sooner, among the first jobs of the lanes; 0 when absent.
 */
priority?: number, 
/**
 * Jobs that must have succeeded first. If one of them fails for good, so does this.
 */
after?: Array<number>, 
/**
 * How long it may wait; `jobTtlMs` when absent, for ever when null.
 */
ttlMs?: number | null, 
/**
 * `jobAttemptsMax` when absent.
 */
attemptsMax?: number, policy?: LanePolicy, 
/**
 * Whether its result stays until it is acknowledged, also across restarts.
 */
keepOutcome?: boolean, };

/**
 * What a job does.
 */
export type JobWork = { "event": { 
/**
 * `/` when absent.
 */
namespace?: string, name: string, args: unknown[], } } | { "request": { method: string, 
/**
 * Absolute, or a path on the server.
 */
url: string, headers?: { [key in string]: string }, 
/**
 * Bytes are sent as they are, anything else as JSON.
 */
body?: unknown, } } | { "handler": { key: string, payload?: unknown, } };

/**
 * How a job is carried out.
 */
export type JobKind = "event" | "request" | "handler";

/**
 * What becomes of a lane when one of its jobs fails for good.
 */
export type LanePolicy = "continue" | "hold" | "stream";

/**
 * The answer to a [`JobCommand`].
 */
export type JobReply = { enqueued: Array<Enqueued>, } | { jobs: Array<JobInfo>, 
/**
 * Whether there are others after these.
 */
more: boolean, } | { deadLetters: Array<DeadLetter>, } | { outcomes: Array<JobOutcome>, } | { cleared: number, } | ProcessReport | { leaseMs: number, } | Record<symbol, never>;

/**
 * What became of a job that was handed over.
 */
export type Enqueued = { job: number, 
/**
 * Whether an equal job was there already; then it is that one.
 */
duplicate: boolean, };

/**
 * A job that has not ended.
 */
export type JobInfo = { job: number, work: JobWork, lane: string, state: JobState, priority: number, after: Array<number>, attempts: number, attemptsMax: number, 
/**
 * In milliseconds since the epoch.
 */
queuedAtMs: number, 
/**
 * In milliseconds since the epoch; null for never.
 */
expiresAtMs: number | null, idempotencyKey: string, 
/**
 * Why its last attempt failed.
 */
error: JobError | null, };

export type JobState = "waiting" | "running";

/**
 * A job that was given up. It stays until it is retried or dropped.
 */
export type DeadLetter = { job: number, work: JobWork, lane: string, reason: DeadReason, error: JobError, attempts: number, 
/**
 * Whether its lane waits for the decision about it.
 */
holdsLane: boolean, 
/**
 * In milliseconds since the epoch.
 */
queuedAtMs: number, 
/**
 * In milliseconds since the epoch.
 */
diedAtMs: number, };

/**
 * Why a job was given up.
 */
export type DeadReason = "refused" | "attempts_spent" | "expired" | "dependency";

/**
 * Why an attempt failed.
 */
export type JobError = { category: Category, 
/**
 * The server's or the handler's word for it, or one of [`Code`].
 */
code: string, message: string, 
/**
 * Of an HTTP response.
 */
status: number | null, };

/**
 * What kind of failure it was.
 */
export type Category = "NETWORK" | "SERVER" | "AUTH" | "CONFLICT" | "VALIDATION" | "UNKNOWN";

/**
 * A job that succeeded.
 */
export type JobOutcome = { job: number, kind: JobKind, lane: string, 
/**
 * What the server acknowledged with; `{status, headers, body}` of a request; what the handler returned.
 */
result: unknown[], 
/**
 * Whether it stays until it is acknowledged.
 */
kept: boolean, };

/**
 * What one round did.
 */
export type ProcessReport = { 
/**
 * Jobs that succeeded.
 */
processed: number, 
/**
 * Jobs whose attempt failed, for now or for good.
 */
failed: number, 
/**
 * Jobs that could not be tried.
 */
skipped: number, };

/**
 * What an app is told about jobs without asking.
 */
export type JobEvent = { "type": "leased", job: number, lease: number, leaseMs: number, key: string, payload: unknown, idempotencyKey: string, 
/**
 * Attempts used up before.
 */
attempts: number, } | { "type": "done", outcome: JobOutcome, } | { "type": "failed", job: number, error: JobError, attempts: number, } | { "type": "dead", letter: DeadLetter, };

/**
 * A write that the server refused. It is rolled back, and kept here until the app acknowledges it.
 */
export type RejectedWrite = { clientSeq: number, error: ErrorBody, 
/**
 * What it was in conflict with, where that was the reason.
 */
conflict?: Conflict, room: string, collection: string, id: string, write: Write, };

/**
 * A write in conflict that waits for the app's decision. It is not shown any more; later writes of its document
 * go on.
 */
export type ParkedWrite = { clientSeq: number, room: string, collection: string, id: string, local: Write, 
/**
 * The fields of the server's document, `null` where there is none.
 */
server: { [key in string]: JsonValue } | null, kind: ConflictKind, 
/**
 * The paths that both sides wrote.
 */
fields: Array<string>, };

/**
 * What a write was in conflict with.
 */
export type Conflict = { kind: ConflictKind, 
/**
 * The paths that both sides wrote.
 */
fields: Array<string>, };

/**
 * What the two writes do, this client's first.
 */
export type ConflictKind = "update_update" | "update_delete" | "delete_update";

/**
 * What becomes of a write in conflict, by the app's decision.
 */
export type Resolution = "local" | "server" | { "merged": { [key in string]: JsonValue } };

export type PresentMember = { clientId: string, userId: string, state: { [key in string]: JsonValue }, status: PresenceStatus, 
/**
 * Whether it is this client.
 */
me: boolean, };

/**
 * A user in a room, with all of their devices there.
 */
export type PresentUser = { userId: string, 
/**
 * Active if any device is.
 */
status: PresenceStatus, devices: number, 
/**
 * What the device shows that was active last.
 */
state: { [key in string]: JsonValue }, 
/**
 * Whether this client is one of the devices.
 */
me: boolean, 
/**
 * The devices, as the members name them.
 */
clientIds: Array<string>, };

export type PresenceStatus = "active" | "away";

/**
 * How far the current round of synchronization has come.
 */
export type Progress = { phase: ProgressPhase, 
/**
 * Writes confirmed in this round.
 */
uploaded: number, 
/**
 * Writes still to be confirmed.
 */
toUpload: number, 
/**
 * Documents received in this round.
 */
downloaded: number, 
/**
 * Rooms that have caught up with the server.
 */
roomsLive: number, 
/**
 * Rooms that have not, without those that the server denies.
 */
roomsToLoad: number, };

export type ProgressPhase = "idle" | "preparing" | "uploading" | "downloading" | "complete" | "error";

/**
 * What a client did since it was opened.
 */
export type Stats = { clientId: string, state: ConnectionState, 
/**
 * Since the client was opened, in milliseconds.
 */
uptimeMs: number, 
/**
 * Writes accepted.
 */
localWrites: number, 
/**
 * From the call to the durable write, in microseconds.
 */
localWriteUs: Quantiles, 
/**
 * From the accepted write to its confirmation in the cache, in milliseconds, for writes made while
 * connected.
 */
syncMs: Quantiles, 
/**
 * From the last open connection to an empty outbox and live rooms, in milliseconds.
 */
recoveryMs: number | null, 
/**
 * From a request to its answer, in milliseconds.
 */
rttMs: Quantiles, 
/**
 * From a batch of writes to its answer.
 */
pushMs: Latency, 
/**
 * From a request for a page to the page.
 */
pullMs: Latency, bytesSent: number, bytesReceived: number, journalBytes: number, cacheBytes: number, 
/**
 * Both together.
 */
diskBytes: number, reconnects: number, 
/**
 * Writes confirmed by the server.
 */
confirmed: number, 
/**
 * Writes refused by the server.
 */
rejected: number, 
/**
 * Writes that were in conflict.
 */
conflicts: number, 
/**
 * News that the app was too busy to hear.
 */
droppedNotices: number, 
/**
 * What waits to be sent.
 */
queue: Array<QueueDepth>, };

/**
 * The median, the 95th and the 99th percentile.
 */
export type Quantiles = { p50: number, p95: number, p99: number, };

/**
 * How long something took, in milliseconds, and how often it happened.
 */
export type Latency = { p50: number, p95: number, p99: number, count: number, };

/**
 * What waits of one kind.
 */
export type QueueDepth = { 
/**
 * `mutation`, `event`, `request` or `handler`.
 */
kind: string, count: number, 
/**
 * How long the oldest has waited, in milliseconds.
 */
oldestMs: number | null, };

/**
 * One event of the synchronization.
 */
export type TraceEvent = { 
/**
 * Milliseconds since the epoch, as the device believes.
 */
atMs: number, kind: TraceKind, detail: string, };

/**
 * What happened. The spelling in [`TraceKind::name`] does not change.
 */
export type TraceKind = "connect" | "connected" | "disconnected" | "hello" | "token_needed" | "token_set" | "token_failed" | "app_state" | "network" | "push" | "pushed" | "pull" | "pulled" | "live" | "refused" | "rejected" | "conflict" | "error";

/**
 * How much is logged; each level holds those before it.
 */
export type LogLevel = "off" | "error" | "warn" | "info" | "debug" | "trace";

/**
 * One line of the log.
 */
export type LogLine = { 
/**
 * Milliseconds since the epoch, as the device believes.
 */
atMs: number, level: LogLevel, 
/**
 * Which part of the core it comes from.
 */
target: string, 
/**
 * A stable name such as `syncline.connect`, for what has one.
 */
event: string | null, message: string, 
/**
 * Lines that were lost before this one, because the host was too slow or failed.
 */
dropped: number, };

/**
 * What an app is told without asking, at most once per turn and thing.
 */
export type Event = { "type": "connection", status: ConnectionStatus, } | { "type": "room", status: RoomStatus, } | { "type": "rows", watch: number, 
/**
 * Whether `upserted` are all rows there are.
 */
reset: boolean, upserted: Array<Row>, removed: Array<string>, 
/**
 * Where each row of `upserted` stands once all is done, ascending. Absent with `reset`, and in a watch that
 * selects nothing: its rows are ordered by id.
 */
indexes?: Array<number>, 
/**
 * How many documents match, if that changed.
 */
count?: number, } | { "type": "queue", status: QueueStatus, } | { "type": "job", event: JobEvent, } | { "type": "presence", room: string, members: Array<PresentMember>, 
/**
 * The members by user, in the order of the user ids.
 */
users: Array<PresentUser>, 
/**
 * Why this client cannot be present there.
 */
error: ErrorBody | null, } | { "type": "progress", progress: Progress, } | { "type": "outcome", outcome: RejectedWrite, } | { "type": "conflict", conflict: ParkedWrite, } | { "type": "tokenNeeded", reason: ErrorBody, request: number, } | { "type": "user", userId: string, online: boolean, } | { "type": "message" } & SocketMessage | { "type": "namespace", status: NamespaceStatus, } | { "type": "joinRefused", namespace: string, room: string, error: ErrorBody, } | { "type": "error", error: ErrorBody, };

/**
 * How an error reaches JavaScript.
 */
export type ErrorBody = { code: Code, message: string, 
/**
 * Whether the same request may succeed later without a change to it: `retry` is not `never`.
 */
retryable: boolean, 
/**
 * What helps.
 */
retry: RetryClass, };

/**
 * What a sender does after an error.
 */
export type RetryClass = "later" | "after_auth" | "never";

/**
 * What went wrong, as far as a caller can act on it. The spelling in [`Code::as_str`] is the same in every
 * language.
 */
export type Code = "no_auth_token" | "unauthorized" | "forbidden" | "offline" | "unreachable" | "tls_pin_mismatch" | "tls_not_ready" | "invalid_url" | "invalid" | "too_large" | "not_found" | "queue_full" | "in_use" | "disk_full" | "storage" | "wrong_key" | "locked" | "schema_too_new" | "protocol" | "unsupported_protocol" | "timeout" | "closed" | "rate_limited" | "conflict" | "unavailable" | "internal";
