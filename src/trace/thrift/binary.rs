//! The binary encoding (Apache Thrift, "Thrift Binary protocol encoding").

use super::ThriftError;
use super::wire::{Kind, Rest, Wire};

/// The first half of a message in its strict form.
const VERSION_1: u32 = 0x8001_0000;

/// Reads it.
#[derive(Debug)]
pub(super) struct Binary<'a> {
    rest: Rest<'a>,
}

impl<'a> Binary<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: Rest::new(bytes),
        }
    }

    fn size(&mut self) -> Result<usize, ThriftError> {
        usize::try_from(self.i32()?).map_err(|_| ThriftError::Malformed)
    }
}

impl<'a> Wire<'a> for Binary<'a> {
    fn rest(&mut self) -> &mut Rest<'a> {
        &mut self.rest
    }

    fn message(&mut self) -> Result<&'a [u8], ThriftError> {
        let first = self.i32()?;
        if let Ok(length) = usize::try_from(first) {
            // The old form: name, type, number.
            let name = self.rest.take(length)?;
            self.rest.byte()?;
            self.i32()?;
            return Ok(name);
        }
        if first.cast_unsigned() & 0xffff_0000 != VERSION_1 {
            return Err(ThriftError::Malformed);
        }
        let name = self.bytes()?;
        self.i32()?;
        Ok(name)
    }

    fn field(&mut self, _: i16) -> Result<Option<(Kind, i16)>, ThriftError> {
        match self.rest.byte()? {
            0 => Ok(None),
            code => Ok(Some((kind(code)?, self.i16()?))),
        }
    }

    fn truth(&mut self) -> Result<bool, ThriftError> {
        Ok(self.rest.byte()? != 0)
    }

    fn i16(&mut self) -> Result<i16, ThriftError> {
        self.rest.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, ThriftError> {
        self.rest.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, ThriftError> {
        self.rest.array().map(i64::from_be_bytes)
    }

    fn double(&mut self) -> Result<f64, ThriftError> {
        self.rest.array().map(f64::from_be_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], ThriftError> {
        let length = self.size()?;
        self.rest.take(length)
    }

    fn list(&mut self) -> Result<(Kind, usize), ThriftError> {
        let code = self.rest.byte()?;
        let count = self.size()?;
        let count = self.rest.entries(count)?;
        // An empty list may have any type.
        let kind = if count == 0 { Kind::Byte } else { kind(code)? };
        Ok((kind, count))
    }

    fn map(&mut self) -> Result<Option<(Kind, Kind, usize)>, ThriftError> {
        let codes = [self.rest.byte()?, self.rest.byte()?];
        let count = self.size()?;
        let count = self.rest.entries(count)?;
        if count == 0 {
            return Ok(None);
        }
        let [key, value] = codes;
        Ok(Some((kind(key)?, kind(value)?, count)))
    }
}

fn kind(code: u8) -> Result<Kind, ThriftError> {
    Ok(match code {
        2 => Kind::Bool,
        3 => Kind::Byte,
        4 => Kind::Double,
        6 => Kind::I16,
        8 => Kind::I32,
        10 => Kind::I64,
        11 => Kind::Bytes,
        12 => Kind::Struct,
        13 => Kind::Map,
        14 => Kind::Set,
        15 => Kind::List,
        _ => return Err(ThriftError::Malformed),
    })
}
