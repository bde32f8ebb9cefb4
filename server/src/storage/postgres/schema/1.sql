-- Names are compared byte by byte, as everywhere else. What stands in braces says how a table is kept: see ../schema.rs.

CREATE TABLE syncline_rooms (
  room text COLLATE "C" PRIMARY KEY,
  -- The last number given.
  seq bigint NOT NULL DEFAULT 0,
  -- Of all live documents, in hexadecimal digits.
  checksum text NOT NULL DEFAULT '0000000000000000',
  -- The place of the last deletion that was purged.
  floor bigint NOT NULL DEFAULT 0,
  -- How many deletions the log holds.
  tombstones bigint NOT NULL DEFAULT 0
){syncline_rooms};

CREATE INDEX syncline_rooms_with_tombstones ON syncline_rooms (room) WHERE tombstones > 0;

CREATE TABLE syncline_documents (
  room text COLLATE "C" NOT NULL,
  collection text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  -- The place of its newest change in the room's log.
  seq bigint NOT NULL,
  -- Null while it lives.
  deleted_at_ms bigint,
  -- As the protocol writes it, with a checksum: numbers, text and bytes stay exactly what they were.
  document bytea NOT NULL,
  PRIMARY KEY (room, collection, id)
){syncline_documents};

CREATE UNIQUE INDEX syncline_documents_log ON syncline_documents (room, seq);

CREATE INDEX syncline_documents_tombstones ON syncline_documents (room, seq) WHERE deleted_at_ms IS NOT NULL;

CREATE TABLE syncline_clients (
  room text COLLATE "C" NOT NULL,
  client uuid NOT NULL,
  last_client_seq bigint NOT NULL,
  -- How many of its rejections are kept, and the last one that no longer is.
  rejections bigint NOT NULL,
  rejections_dropped_through bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (room, client)
){syncline_clients};

CREATE TABLE syncline_rejections (
  room text COLLATE "C" NOT NULL,
  client uuid NOT NULL,
  client_seq bigint NOT NULL,
  error bytea NOT NULL,
  PRIMARY KEY (room, client, client_seq)
){syncline_rejections};

-- Whose client it is, in all rooms.
CREATE TABLE syncline_owners (
  client uuid PRIMARY KEY,
  user_id text NOT NULL
);
