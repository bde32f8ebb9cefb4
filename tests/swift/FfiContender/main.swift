// The benchmark `ffi` through Swift: orders on standard input, answers on standard output (tests/bench).

import Dispatch
import Foundation
import Syncline

let documentCount = 1_000
let textChars = 164

struct Order: Decodable {
  let samples: Int
  let work: Work
}

/// `"one"`, or `{"batch": rows}`.
enum Work: Decodable {
  case one
  case batch(rows: Int)

  private struct Batch: Decodable { let batch: Int }

  init(from decoder: Decoder) throws {
    if let batch = try? Batch(from: decoder) {
      self = .batch(rows: batch.batch)
    } else {
      self = .one
    }
  }
}

struct Answer: Encodable {
  let values: [Double]
  let also: [[Double]]
}

struct Failure: Error, CustomStringConvertible {
  let description: String
}

/// An event, as far as it tells of rows.
struct Event: Decodable {
  let upserted: [Row]?
}

struct Row: Decodable {
  let id: String
  let fields: Note
}

struct Note: Decodable {
  let done: Bool
  let position: Int
  let text: String
}

/// How many rows changed, of a batch of events, and how long the text took to read.
struct Changed: Sendable {
  let rows: Int
  let readingUs: Double
}

final class Listener: JsonListener {
  let changed: AsyncStream<Changed>
  private let tell: AsyncStream<Changed>.Continuation

  init() {
    (changed, tell) = AsyncStream.makeStream()
  }

  func onEvents(client: UInt64, events: Parcel) {
    let begin = DispatchTime.now()
    guard let read = try? JSONDecoder().decode([Event].self, from: Data(events.text.utf8)) else { return }
    let rows = read.reduce(0) { $0 + ($1.upserted?.count ?? 0) }
    tell.yield(Changed(rows: rows, readingUs: microseconds(since: begin)))
  }
}

func microseconds(since begin: DispatchTime) -> Double {
  Double(DispatchTime.now().uptimeNanoseconds - begin.uptimeNanoseconds) / 1e3
}

/// What a reply holds.
@discardableResult
func opened(_ reply: String) throws -> [String: Any] {
  let envelope = try JSONSerialization.jsonObject(with: Data(reply.utf8)) as? [String: Any]
  guard let ok = envelope?["ok"] as? [String: Any] else { throw Failure(description: reply) }
  return ok
}

func writes(_ count: Int, _ write: (Int) -> String) -> String {
  let all = (0..<count).map { number in
    let id = "n" + String(repeating: "0", count: 4 - String(number).count) + String(number)
    return #"{"room":"list:ffi","collection":"notes","id":"\#(id)","write":\#(write(number))}"#
  }
  return #"{"type":"write","writes":[\#(all.joined(separator: ","))]}"#
}

/// Each becomes part of the write before, so that the queue does not grow.
func changes(_ rows: Int, _ position: Int) -> String {
  writes(rows) { _ in #"{"update":{"position":{"set":\#(position)}}}"# }
}

/// A client that watches, through the façade's strings.
struct Host {
  private let client: UInt64
  private var changed: AsyncStream<Changed>.Iterator
  /// Never what a document holds already: that would change nothing.
  private var position = documentCount

  init() async throws {
    let listener = Listener()
    changed = listener.changed.makeAsyncIterator()
    let config = #"{"url":"http://127.0.0.1:1","store":"memory","autoConnect":false}"#
    let reply = try opened(await jsonOpen(config: config, listener: listener))
    guard let number = reply["client"] as? UInt64 else { throw Failure(description: "no client was opened") }
    client = number
    let text = String(repeating: "x", count: textChars)
    try await call(writes(documentCount) { #"{"create":{"done":false,"position":\#($0),"text":"\#(text)"}}"# })
    try await call(#"{"type":"watch","room":"list:ffi","collection":"notes"}"#)
  }

  mutating func run(_ order: Order) async throws -> Answer {
    switch order.work {
    case .one: return try await calls(order.samples)
    case .batch(let rows): return try await batches(order.samples, rows)
    }
  }

  private func calls(_ samples: Int) async throws -> Answer {
    var values: [Double] = []
    for _ in 0..<samples {
      let begin = DispatchTime.now()
      try await call(#"{"type":"queue"}"#)
      values.append(microseconds(since: begin))
    }
    return Answer(values: values, also: [])
  }

  private mutating func batches(_ samples: Int, _ rows: Int) async throws -> Answer {
    var (values, reading): ([Double], [Double]) = ([], [])
    for _ in 0..<samples {
      position += 1
      let command = changes(rows, position)
      let begin = DispatchTime.now()
      let readingUs = try await change(command, rows)
      values.append(microseconds(since: begin) / Double(rows))
      reading.append(readingUs / Double(rows))
    }
    return Answer(values: values, also: [reading])
  }

  /// Returns the microseconds that reading took.
  private mutating func change(_ command: String, _ rows: Int) async throws -> Double {
    try await call(command)
    var (left, readingUs) = (rows, 0.0)
    while left > 0 {
      guard let some = await changed.next() else { throw Failure(description: "there are no more events") }
      left -= some.rows
      readingUs += some.readingUs
    }
    return readingUs
  }

  private func call(_ command: String) async throws {
    let parcel = Parcel(text: command, attachments: [])
    try opened(await jsonCall(client: client, command: parcel).text)
  }
}

var host = try await Host()
while let line = readLine() {
  let answer = try await host.run(JSONDecoder().decode(Order.self, from: Data(line.utf8)))
  FileHandle.standardOutput.write(try JSONEncoder().encode(answer) + Data("\n".utf8))
}
await jsonCloseAll()
