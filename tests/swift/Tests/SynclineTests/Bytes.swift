import Foundation

@testable import Syncline

// Bytes: {"$bytes": base64} in a transcript, beside the text where they cross. See tests/contract/README.md.

/// What a host hands over for JSON of a transcript.
func detached(_ json: Json) throws -> Parcel {
  var attachments: [Data] = []
  let text = mapObjects(json) { members in
    guard let bytes = only(members, "$bytes")?.string.flatMap({ Data(base64Encoded: $0) }) else { return nil }
    attachments.append(bytes)
    return .object(["$attachment": .number(Double(attachments.count - 1))])
  }
  return Parcel(text: try text.encoded(), attachments: attachments)
}

/// The JSON of a transcript for what the façade handed over.
func attached(_ parcel: Parcel) throws -> Json {
  mapObjects(try Json.parse(parcel.text)) { members in
    guard case .number(let index)? = only(members, "$attachment"), parcel.attachments.indices.contains(Int(index))
    else { return nil }
    return .object(["$bytes": .text(parcel.attachments[Int(index)].base64EncodedString())])
  }
}

/// The value of the only member, if it is this one.
private func only(_ members: [String: Json], _ key: String) -> Json? {
  members.count == 1 ? members[key] : nil
}

/// `json` with each object that `replace` has something for replaced by that; one within `$object` stays one.
private func mapObjects(_ json: Json, _ replace: ([String: Json]) -> Json?) -> Json {
  switch json {
  case .array(let items): return .array(items.map { mapObjects($0, replace) })
  case .object(let members):
    if let replaced = replace(members) { return replaced }
    if case .object(let plain)? = only(members, "$object") {
      return .object(["$object": .object(plain.mapValues { mapObjects($0, replace) })])
    }
    return .object(members.mapValues { mapObjects($0, replace) })
  default: return json
  }
}
