//! Walks over MessagePack without building values, so that arguments can be kept as slices of the frame.
//!
//! Also knows the three extensions that the encoder of npm `socket.io-msgpack-parser` writes for values
//! MessagePack lacks: `undefined`, `Date` and `ArrayBuffer`, all of extension type 0.

use rmp::Marker;

use super::error::CodecError;

/// The extension type of JavaScript values.
const JS_EXT: i8 = 0;
/// The range of a JavaScript `Date`, in milliseconds either side of 1970.
const JS_DATE_MS_MAX: u64 = 8_640_000_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// The start of a value: its type and, where the content follows, how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Nil,
    UInt(u64),
    /// A negative integer, a boolean or a float: nothing of the packet's own fields.
    Scalar,
    Str(usize),
    Bin(usize),
    Array(usize),
    Map(usize),
    /// JavaScript's `undefined`.
    Undefined,
    /// JavaScript's `Date`, milliseconds since 1970.
    Date(i64),
    /// The bytes of an `ArrayBuffer` or typed array.
    ArrayBuffer(usize),
    /// Any other extension.
    Ext(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How far it has read, in bytes.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let end = self.at.checked_add(count).ok_or(CodecError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(CodecError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn take_str(&mut self, count: usize) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.take(count)?).map_err(|_| CodecError::InvalidUtf8)
    }

    /// A big-endian unsigned integer of `width` (at most 8) bytes.
    fn uint(&mut self, width: usize) -> Result<u64, CodecError> {
        Ok(self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn len(&mut self, width: usize) -> Result<usize, CodecError> {
        usize::try_from(self.uint(width)?).map_err(|_| CodecError::Truncated)
    }

    /// A signed integer, of which only one that could be an id is told from the rest.
    fn int(&mut self, width: usize) -> Result<Head, CodecError> {
        let value = self.uint(width)?;
        let negative = value >> (width * 8 - 1) == 1;
        Ok(if negative { Head::Scalar } else { Head::UInt(value) })
    }

    fn scalar(&mut self, width: usize) -> Result<Head, CodecError> {
        self.take(width)?;
        Ok(Head::Scalar)
    }

    fn ext(&mut self, length_width: usize) -> Result<Head, CodecError> {
        let length = self.len(length_width)?;
        Ok(if self.ext_type()? == JS_EXT { Head::ArrayBuffer(length) } else { Head::Ext(length) })
    }

    fn ext_type(&mut self) -> Result<i8, CodecError> {
        Ok(self.take(1)?.first().map_or(JS_EXT, |byte| byte.cast_signed()))
    }

    /// Reads the start of a value; the content of strings, bytes and containers is left to the caller.
    pub(super) fn head(&mut self) -> Result<Head, CodecError> {
        let marker = self.take(1)?.first().copied().ok_or(CodecError::Truncated)?;
        Ok(match Marker::from_u8(marker) {
            Marker::FixPos(value) => Head::UInt(u64::from(value)),
            Marker::U8 => Head::UInt(self.uint(1)?),
            Marker::U16 => Head::UInt(self.uint(2)?),
            Marker::U32 => Head::UInt(self.uint(4)?),
            Marker::U64 => Head::UInt(self.uint(8)?),
            Marker::I8 => self.int(1)?,
            Marker::I16 => self.int(2)?,
            Marker::I32 => self.int(4)?,
            Marker::I64 => self.int(8)?,
            Marker::FixNeg(_) | Marker::True | Marker::False => Head::Scalar,
            Marker::F32 => self.scalar(4)?,
            Marker::F64 => self.scalar(8)?,
            Marker::Null => Head::Nil,
            Marker::FixStr(length) => Head::Str(usize::from(length)),
            Marker::Str8 => Head::Str(self.len(1)?),
            Marker::Str16 => Head::Str(self.len(2)?),
            Marker::Str32 => Head::Str(self.len(4)?),
            Marker::Bin8 => Head::Bin(self.len(1)?),
            Marker::Bin16 => Head::Bin(self.len(2)?),
            Marker::Bin32 => Head::Bin(self.len(4)?),
            Marker::FixArray(count) => Head::Array(usize::from(count)),
            Marker::Array16 => Head::Array(self.len(2)?),
            Marker::Array32 => Head::Array(self.len(4)?),
            Marker::FixMap(count) => Head::Map(usize::from(count)),
            Marker::Map16 => Head::Map(self.len(2)?),
            Marker::Map32 => Head::Map(self.len(4)?),
            Marker::Ext8 => self.ext(1)?,
            Marker::Ext16 => self.ext(2)?,
            Marker::Ext32 => self.ext(4)?,
            Marker::FixExt1 => match self.ext_type()? {
                JS_EXT => self.take(1).map(|_| Head::Undefined)?,
                _ => Head::Ext(1),
            },
            Marker::FixExt8 => match self.ext_type()? {
                JS_EXT => Head::Date(self.uint(8)?.cast_signed()),
                _ => Head::Ext(8),
            },
            Marker::FixExt2 => self.ext_type().map(|_| Head::Ext(2))?,
            Marker::FixExt4 => self.ext_type().map(|_| Head::Ext(4))?,
            Marker::FixExt16 => self.ext_type().map(|_| Head::Ext(16))?,
            Marker::Reserved => return Err(CodecError::Malformed("reserved MessagePack type")),
        })
    }

    /// Moves past one value, having checked it: complete, its text UTF-8, nested at most `depth_max` deep.
    /// Returns whether it holds a JavaScript extension.
    pub(super) fn skip(&mut self, depth_max: usize) -> Result<bool, CodecError> {
        // How many values each open container still has; its length is the depth, so nothing recurses.
        let mut open: Vec<usize> = Vec::new();
        let mut has_js_ext = false;
        loop {
            let children = match self.head()? {
                Head::Nil | Head::UInt(_) | Head::Scalar => None,
                Head::Str(length) => self.take_str(length).map(|_| None)?,
                Head::Bin(length) | Head::Ext(length) => self.take(length).map(|_| None)?,
                Head::Undefined | Head::Date(_) => {
                    has_js_ext = true;
                    None
                }
                Head::ArrayBuffer(length) => {
                    has_js_ext = true;
                    self.take(length).map(|_| None)?
                }
                Head::Array(count) => Some(count),
                Head::Map(pairs) => Some(pairs.checked_mul(2).ok_or(CodecError::Truncated)?),
            };
            if let Some(children) = children {
                if open.len() >= depth_max {
                    return Err(CodecError::TooDeep { max: depth_max });
                }
                open.push(children);
            }
            while open.last() == Some(&0) {
                open.pop();
            }
            match open.last_mut() {
                None => return Ok(has_js_ext),
                Some(remaining) => *remaining -= 1,
            }
        }
    }
}

/// The value with JavaScript's extensions as JSON would show them: `undefined` as nil, `Date` as ISO 8601 text
/// (nil when out of range); an `ArrayBuffer` as bin.
///
/// Replacing values one for one leaves every container's count right, so one pass without a stack will do.
pub(super) fn without_js_ext(value: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::with_capacity(value.len());
    let mut reader = Reader::new(value);
    while !reader.is_at_end() {
        let start = reader.position();
        match reader.head()? {
            Head::Undefined => out.push(Marker::Null.to_u8()),
            Head::Date(ms) => match iso_8601(ms) {
                Some(text) => write_str(&mut out, &text)?,
                None => out.push(Marker::Null.to_u8()),
            },
            Head::ArrayBuffer(length) => write_bin(&mut out, reader.take(length)?)?,
            Head::Str(length) | Head::Bin(length) | Head::Ext(length) => {
                reader.take(length)?;
                out.extend_from_slice(value.get(start..reader.position()).unwrap_or_default());
            }
            Head::Nil | Head::UInt(_) | Head::Scalar | Head::Array(_) | Head::Map(_) => {
                out.extend_from_slice(value.get(start..reader.position()).unwrap_or_default());
            }
        }
    }
    Ok(out)
}

pub(super) fn write_uint(out: &mut Vec<u8>, value: u64) -> Result<(), CodecError> {
    rmp::encode::write_uint(out, value).map(drop).map_err(|error| CodecError::Encode(error.to_string()))
}

pub(super) fn write_str(out: &mut Vec<u8>, text: &str) -> Result<(), CodecError> {
    length_u32(text.len())?;
    rmp::encode::write_str(out, text).map_err(|error| CodecError::Encode(error.to_string()))
}

pub(super) fn write_bin(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), CodecError> {
    length_u32(bytes.len())?;
    rmp::encode::write_bin(out, bytes).map_err(|error| CodecError::Encode(error.to_string()))
}

pub(super) fn write_array_len(out: &mut Vec<u8>, count: usize) -> Result<(), CodecError> {
    let count = length_u32(count)?;
    rmp::encode::write_array_len(out, count).map(drop).map_err(|error| CodecError::Encode(error.to_string()))
}

pub(super) fn write_map_len(out: &mut Vec<u8>, count: usize) -> Result<(), CodecError> {
    let count = length_u32(count)?;
    rmp::encode::write_map_len(out, count).map(drop).map_err(|error| CodecError::Encode(error.to_string()))
}

/// The largest length MessagePack can say; `rmp` would silently cut it.
fn length_u32(length: usize) -> Result<u32, CodecError> {
    u32::try_from(length).map_err(|_| CodecError::Encode("longer than MessagePack allows".to_owned()))
}

/// What `Date.prototype.toJSON` writes; `None` for a time that `Date` cannot hold.
fn iso_8601(ms: i64) -> Option<String> {
    if ms.unsigned_abs() > JS_DATE_MS_MAX {
        return None;
    }
    let (year, month, day) = civil_date(ms.div_euclid(DAY_MS));
    let time = ms.rem_euclid(DAY_MS);
    let (hour, minute, second, milli) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60, time % 1000);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar before its invention too.
fn civil_date(day_of_1970: i64) -> (i64, i64, i64) {
    const DAYS_TO_2000: i64 = 10_957;
    const CYCLE_YEARS: i64 = 400;
    const CYCLE_DAYS: i64 = 146_097;
    let day_of_2000 = day_of_1970 - DAYS_TO_2000;
    let cycle = day_of_2000.div_euclid(CYCLE_DAYS);
    let mut day = day_of_2000.rem_euclid(CYCLE_DAYS);
    // Years count from the start of the cycle, whose first year is a leap year.
    let days_before = |year: i64| 365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let mut year = day / 365;
    while days_before(year) > day {
        year -= 1;
    }
    day -= days_before(year);
    let leap = year % 4 == 0 && (year % 100 != 0 || year == 0);
    let mut month = 1;
    for length in [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (2000 + cycle * CYCLE_YEARS + year, month, day + 1)
}
