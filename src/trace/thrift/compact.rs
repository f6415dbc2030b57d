//! The compact encoding (Apache Thrift, "Thrift Compact protocol encoding").

use super::ThriftError;
use super::wire::{Kind, Rest, Wire};

/// The first byte of a message.
const PROTOCOL: u8 = 0x82;

/// The version, in the low bits of the second.
const VERSION: u8 = 1;

/// Reads it.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    rest: Rest<'a>,
    /// A field's truth value is in its head.
    truth: Option<bool>,
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: Rest::new(bytes),
            truth: None,
        }
    }

    fn varint(&mut self) -> Result<u64, ThriftError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.rest.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(ThriftError::Malformed)
    }

    fn zigzag(&mut self) -> Result<i64, ThriftError> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, ThriftError> {
        T::try_from(self.zigzag()?).map_err(|_| ThriftError::Malformed)
    }

    fn size(&mut self) -> Result<usize, ThriftError> {
        usize::try_from(self.varint()?).map_err(|_| ThriftError::Malformed)
    }
}

impl<'a> Wire<'a> for Compact<'a> {
    fn rest(&mut self) -> &mut Rest<'a> {
        &mut self.rest
    }

    fn message(&mut self) -> Result<&'a [u8], ThriftError> {
        let [protocol, version] = self.rest.array()?;
        if protocol != PROTOCOL || version & 0x1f != VERSION {
            return Err(ThriftError::Malformed);
        }
        self.varint()?;
        self.bytes()
    }

    fn field(&mut self, last: i16) -> Result<Option<(Kind, i16)>, ThriftError> {
        let head = self.rest.byte()?;
        let code = head & 0x0f;
        if code == 0 {
            return Ok(None);
        }
        let id = match head >> 4 {
            0 => self.i16()?,
            step => last
                .checked_add(i16::from(step))
                .ok_or(ThriftError::Malformed)?,
        };
        if code == 1 || code == 2 {
            self.truth = Some(code == 1);
        }
        Ok(Some((kind(code)?, id)))
    }

    fn truth(&mut self) -> Result<bool, ThriftError> {
        match self.truth.take() {
            Some(truth) => Ok(truth),
            None => Ok(self.rest.byte()? == 1),
        }
    }

    fn i16(&mut self) -> Result<i16, ThriftError> {
        self.narrow()
    }

    fn i32(&mut self) -> Result<i32, ThriftError> {
        self.narrow()
    }

    fn i64(&mut self) -> Result<i64, ThriftError> {
        self.zigzag()
    }

    fn double(&mut self) -> Result<f64, ThriftError> {
        self.rest.array().map(f64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], ThriftError> {
        let length = self.size()?;
        self.rest.take(length)
    }

    fn list(&mut self) -> Result<(Kind, usize), ThriftError> {
        let head = self.rest.byte()?;
        let count = match head >> 4 {
            15 => self.size()?,
            count => usize::from(count),
        };
        let count = self.rest.entries(count)?;
        // An empty list may have any type.
        let kind = if count == 0 {
            Kind::Byte
        } else {
            kind(head & 0x0f)?
        };
        Ok((kind, count))
    }

    fn map(&mut self) -> Result<Option<(Kind, Kind, usize)>, ThriftError> {
        let count = self.size()?;
        let count = self.rest.entries(count)?;
        if count == 0 {
            return Ok(None);
        }
        let kinds = self.rest.byte()?;
        Ok(Some((kind(kinds >> 4)?, kind(kinds & 0x0f)?, count)))
    }
}

fn kind(code: u8) -> Result<Kind, ThriftError> {
    Ok(match code {
        1 | 2 => Kind::Bool,
        3 => Kind::Byte,
        4 => Kind::I16,
        5 => Kind::I32,
        6 => Kind::I64,
        7 => Kind::Double,
        8 => Kind::Bytes,
        9 => Kind::List,
        10 => Kind::Set,
        11 => Kind::Map,
        12 => Kind::Struct,
        _ => return Err(ThriftError::Malformed),
    })
}
