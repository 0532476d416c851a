//! The codec `text`: the param as it is. And a text as any single value, which `form` is made of.
//!
//! Text has no types, so the type that is wanted decides: a number is read as one where a number is wanted, and stays
//! text where text is. What is true and what is false is PHP's `FILTER_VALIDATE_BOOLEAN`; PHP itself writes `1`, and `0`
//! or nothing. Numbers must be finite, as in JSON. Bytes that are no UTF-8 are an error only where text is wanted.

use super::wrong::Wrong;
use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};

/// Decodes a param: text, a number, true or false, the name of a variant; or the bytes, where bytes are wanted.
pub(super) fn decode<T: DeserializeOwned>(param: &[u8]) -> Result<T, String> {
    T::deserialize(Leaf(param)).map_err(|e| e.to_string())
}

/// One text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf<'a>(pub(super) &'a [u8]);

impl<'a> Leaf<'a> {
    fn text(self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.0).map_err(|e| Wrong::custom(format_args!("is not UTF-8: {e}")))
    }
}

/// A number where one is wanted; a text that is none is offered as text, so that the visitor says what it expected.
macro_rules! numbers {
    ($($read:ident $visit:ident $number:ty)*) => { $(
        fn $read<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            match self.text()?.parse::<$number>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => visitor.visit_str(self.text()?),
            }
        }
    )* };
}

impl<'de> Deserializer<'de> for Leaf<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "1" | "true" | "on" | "yes" => visitor.visit_bool(true),
            "" | "0" | "false" | "off" | "no" => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    numbers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_i128 visit_i128 i128
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_u128 visit_u128 u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.text()?.parse::<f32>() {
            Ok(number) if number.is_finite() => visitor.visit_f32(number),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.text()?.parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bytes(self.0)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bytes(self.0)
    }

    /// The bytes, one by one: this is how serde reads a `Vec<u8>`.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().copied()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.0.is_empty() { visitor.visit_unit() } else { self.deserialize_any(visitor) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_enum(StrDeserializer::new(self.text()?))
    }

    /// What is passed over may be anything, bytes in another encoding included.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { char str string tuple tuple_struct map struct identifier }
}
