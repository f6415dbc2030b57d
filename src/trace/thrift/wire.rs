//! What both encodings have in common: typed fields with numbers, lists, and the bounds of a reader.

use super::ThriftError;

/// Structs in structs at most; a batch has 4.
const DEPTH: usize = 16;

/// Entries of all lists of a batch at most: each costs memory beyond its bytes.
const ENTRIES: usize = 2_000_000;

/// What a field or a list's entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Byte,
    I16,
    I32,
    I64,
    Double,
    Bytes,
    Struct,
    Map,
    Set,
    List,
}

/// The bytes that are left, and what may still be read of them.
#[derive(Debug)]
pub(super) struct Rest<'a> {
    bytes: &'a [u8],
    depth: usize,
    entries: usize,
}

impl<'a> Rest<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            depth: DEPTH,
            entries: ENTRIES,
        }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ThriftError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(ThriftError::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ThriftError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(ThriftError::Short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, ThriftError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Says that a list claims so many entries: no more than there are bytes, and than are allowed.
    pub(super) fn entries(&mut self, count: usize) -> Result<usize, ThriftError> {
        if count > self.bytes.len() {
            return Err(ThriftError::Short);
        }
        self.entries = self.entries.checked_sub(count).ok_or(ThriftError::Large)?;
        Ok(count)
    }

    pub(super) fn enter(&mut self) -> Result<(), ThriftError> {
        self.depth = self.depth.checked_sub(1).ok_or(ThriftError::Deep)?;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }
}

/// An encoding. Each call reads on.
pub(super) trait Wire<'a> {
    fn rest(&mut self) -> &mut Rest<'a>;
    /// The head of a message: its name.
    fn message(&mut self) -> Result<&'a [u8], ThriftError>;
    /// The next field's kind and number; `None` at the struct's end. `last` is the number before it.
    fn field(&mut self, last: i16) -> Result<Option<(Kind, i16)>, ThriftError>;
    /// A truth value of a field, or of a list.
    fn truth(&mut self) -> Result<bool, ThriftError>;
    fn i16(&mut self) -> Result<i16, ThriftError>;
    fn i32(&mut self) -> Result<i32, ThriftError>;
    fn i64(&mut self) -> Result<i64, ThriftError>;
    fn double(&mut self) -> Result<f64, ThriftError>;
    fn bytes(&mut self) -> Result<&'a [u8], ThriftError>;
    /// A list's kind and how many entries it has; bounded.
    fn list(&mut self) -> Result<(Kind, usize), ThriftError>;
    /// The kinds of a map's keys and values, and how many there are; bounded.
    fn map(&mut self) -> Result<Option<(Kind, Kind, usize)>, ThriftError>;
}

/// Reads a struct: `take` reads a field and says `true`, or says `false` for one that it does not know.
pub(super) fn fields<'a, W: Wire<'a>>(
    wire: &mut W,
    mut take: impl FnMut(&mut W, i16, Kind) -> Result<bool, ThriftError>,
) -> Result<(), ThriftError> {
    wire.rest().enter()?;
    let mut last = 0;
    while let Some((kind, id)) = wire.field(last)? {
        last = id;
        if !take(wire, id, kind)? {
            skip(wire, kind)?;
        }
    }
    wire.rest().leave();
    Ok(())
}

/// Reads a list of structs, each with `take`. A list of something else is left out.
pub(super) fn structs<'a, W: Wire<'a>, T>(
    wire: &mut W,
    mut take: impl FnMut(&mut W) -> Result<T, ThriftError>,
) -> Result<Vec<T>, ThriftError> {
    let (kind, count) = wire.list()?;
    let mut taken = Vec::new();
    for _ in 0..count {
        if kind == Kind::Struct {
            taken.push(take(wire)?);
        } else {
            skip(wire, kind)?;
        }
    }
    Ok(taken)
}

/// Reads what nobody wants to know.
fn skip<'a>(wire: &mut impl Wire<'a>, kind: Kind) -> Result<(), ThriftError> {
    match kind {
        Kind::Bool => wire.truth().map(drop),
        Kind::Byte => wire.rest().byte().map(drop),
        Kind::I16 => wire.i16().map(drop),
        Kind::I32 => wire.i32().map(drop),
        Kind::I64 => wire.i64().map(drop),
        Kind::Double => wire.double().map(drop),
        Kind::Bytes => wire.bytes().map(drop),
        Kind::Struct => {
            wire.rest().enter()?;
            let mut last = 0;
            while let Some((kind, id)) = wire.field(last)? {
                last = id;
                skip(wire, kind)?;
            }
            wire.rest().leave();
            Ok(())
        }
        Kind::List | Kind::Set => {
            wire.rest().enter()?;
            let (kind, count) = wire.list()?;
            for _ in 0..count {
                skip(wire, kind)?;
            }
            wire.rest().leave();
            Ok(())
        }
        Kind::Map => {
            wire.rest().enter()?;
            if let Some((key, value, count)) = wire.map()? {
                for _ in 0..count {
                    skip(wire, key)?;
                    skip(wire, value)?;
                }
            }
            wire.rest().leave();
            Ok(())
        }
    }
}
