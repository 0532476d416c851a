//! The codec `form`, from the tree into the type that a job wants: the same value that JSON would give.
//!
//! A list is what has only indexes, in their order, gaps closed; or a name that stands several times; or one value alone,
//! none if it is empty. A map or a struct is any branch, an enum a text or a branch of one. Where a type takes anything
//! (`serde_json::Value`), a branch is a list if its indexes are 0, 1, 2, …, as PHP's `json_encode` would have it.
//!
//! Why not `serde_qs` (1.1.3, measured): it refuses `uids[0]=6&uids[2]=34`, `a[][x]=1`, and PHP's `1` and `0` for a bool,
//! reads an empty bool as true, and passes over `uids%5b%5d=6` and deep names without a word. Its writer is our witness
//! in the tests.

use super::form::{Branch, Node, Step, read};
use super::text::Leaf;
use super::wrong::Wrong;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor,
};
use std::borrow::Cow;
use std::collections::btree_map;

/// Decodes a param.
pub(super) fn decode<T: DeserializeOwned>(param: &[u8]) -> Result<T, String> {
    T::deserialize(Here::Branch(&read(param)?)).map_err(|e| e.to_string())
}

/// A place in the tree.
#[derive(Debug, Clone, Copy)]
enum Here<'t> {
    Text { last: &'t [u8], earlier: &'t [Cow<'t, [u8]>] },
    Branch(&'t Branch<'t>),
}

impl<'t> Here<'t> {
    fn of(node: &'t Node<'t>) -> Here<'t> {
        match node {
            Node::Text { last, earlier } => Here::Text { last, earlier },
            Node::Branch(branch) => Here::Branch(branch),
        }
    }

    fn one(text: &'t [u8]) -> Here<'t> {
        Here::Text { last: text, earlier: &[] }
    }
}

impl Branch<'_> {
    /// Whether every step is an index. Words come last.
    fn is_list(&self) -> bool {
        !matches!(self.children.last_key_value(), Some((Step::Word(_), _)))
    }

    /// Whether the indexes are 0, 1, 2, …, and there is one.
    fn is_dense(&self) -> bool {
        let last = self.children.last_key_value();
        matches!(last, Some((Step::Index(last), _)) if *last == self.children.len() as u64 - 1)
    }

    fn entries(&self) -> Entries<'_> {
        Entries { iter: self.children.iter(), value: None }
    }
}

/// Single values are the last text's. A branch is offered as what it is, so that the visitor says what it expected.
macro_rules! single {
    ($($read:ident)*) => { $(
        fn $read<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            match self {
                Here::Text { last, .. } => Leaf(last).$read(visitor),
                Here::Branch(_) => self.deserialize_any(visitor),
            }
        }
    )* };
}

impl<'de> Deserializer<'de> for Here<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Here::Text { last, .. } => Leaf(last).deserialize_any(visitor),
            Here::Branch(branch) if branch.is_dense() => self.deserialize_seq(visitor),
            Here::Branch(branch) => visitor.visit_map(branch.entries()),
        }
    }

    single! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_identifier
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Here::Text { last, .. } => Leaf(last).deserialize_unit(visitor),
            Here::Branch(branch) if branch.children.is_empty() => visitor.visit_unit(),
            Here::Branch(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            // `a=` alone is the only way to write an empty list.
            Here::Text { last: [], earlier: [] } => Elements::visit(std::iter::empty(), visitor),
            Here::Text { last, earlier } => {
                let texts = earlier.iter().map(AsRef::as_ref).chain([last]);
                Elements::visit(texts.map(|text| (None, Here::one(text))), visitor)
            }
            Here::Branch(branch) if branch.is_list() => {
                Elements::visit(branch.children.iter().map(|(step, node)| (Some(step), Here::of(node))), visitor)
            }
            Here::Branch(_) => Err(Wrong::invalid_type(Unexpected::Map, &visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Here::Text { last: [], earlier: [] } => visitor.visit_map(Branch::default().entries()),
            Here::Text { .. } => self.deserialize_any(visitor),
            Here::Branch(branch) => visitor.visit_map(branch.entries()),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self {
            Here::Text { last, .. } => Leaf(last).deserialize_enum(name, variants, visitor),
            Here::Branch(branch) if branch.children.len() == 1 => {
                MapAccessDeserializer::new(branch.entries()).deserialize_enum(name, variants, visitor)
            }
            Here::Branch(_) => Err(Wrong::invalid_value(Unexpected::Map, &"a single variant")),
        }
    }

    /// What is passed over may be anything, text in another encoding included.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }
}

/// The elements of a list, with their indexes where they were written.
struct Elements<I> {
    iter: I,
    read: usize,
}

impl<'t, I: Iterator<Item = (Option<&'t Step>, Here<'t>)>> Elements<I> {
    /// Lets a visitor read a list. Whoever wants fewer elements than there are is not given the first few.
    fn visit<'de, V: Visitor<'de>>(iter: I, visitor: V) -> Result<V::Value, Wrong> {
        let mut elements = Elements { iter, read: 0 };
        let value = visitor.visit_seq(&mut elements)?;
        match elements.iter.count() {
            0 => Ok(value),
            left => Err(Wrong::invalid_length(elements.read + left, &format!("{} elements", elements.read).as_str())),
        }
    }
}

impl<'de, 't, I: Iterator<Item = (Option<&'t Step>, Here<'t>)>> SeqAccess<'de> for Elements<I> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some((step, here)) = self.iter.next() else { return Ok(None) };
        self.read += 1;
        let value = seed.deserialize(here).map_err(|wrong| match step {
            Some(step) => wrong.inside(step),
            None => wrong,
        });
        value.map(Some)
    }
}

/// The entries of a map.
struct Entries<'t> {
    iter: btree_map::Iter<'t, Step, Node<'t>>,
    value: Option<(&'t Step, &'t Node<'t>)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        self.value = self.iter.next();
        let Some((step, _)) = self.value else { return Ok(None) };
        seed.deserialize(Leaf(step.to_string().as_bytes())).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let (step, node) = self.value.take().ok_or_else(|| Wrong::custom("a value was asked for before its key"))?;
        seed.deserialize(Here::of(node)).map_err(|wrong| wrong.inside(step))
    }
}
