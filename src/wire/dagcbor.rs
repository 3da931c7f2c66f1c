//! Canonical DAG-CBOR, strictly: one value, one sequence of bytes.
//!
//! Bounds are checked on the raw bytes, before any value is built.

use serde::{Serialize, de::DeserializeOwned};

use super::{MAX_BYTES, Refusal};

/// How deep collections may nest.
pub const MAX_DEPTH: usize = 16;
/// How many elements (pairs, of a map) one collection may have.
pub const MAX_ELEMENTS: u64 = 1_024;

/// The canonical bytes of a value.
///
/// # Errors
/// [`Refusal::Unencodable`] where the value has no canonical form.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    serde_ipld_dagcbor::to_vec(value).map_err(|_| Refusal::Unencodable)
}

/// The value of canonical bytes of at most [`MAX_BYTES`].
///
/// # Errors
/// [`Refusal::Oversized`], [`Refusal::Malformed`] or [`Refusal::NonCanonical`].
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let value: T = decode_kept(bytes)?;
    if encode(&value)? == bytes {
        Ok(value)
    } else {
        Err(Refusal::NonCanonical)
    }
}

/// The value of bytes that this node itself encoded and kept: their bounds are
/// checked, their form is not, which saves as much work again.
///
/// # Errors
/// [`Refusal::Oversized`] or [`Refusal::Malformed`].
pub fn decode_kept<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    check_bounds(bytes)?;
    serde_ipld_dagcbor::from_slice(bytes).map_err(|_| Refusal::Malformed)
}

/// Size, depth and element counts, without building anything.
///
/// # Errors
/// [`Refusal::Oversized`] or [`Refusal::Malformed`].
pub fn check_bounds(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.len() > MAX_BYTES {
        return Err(Refusal::Oversized);
    }
    let mut scan = Scan { rest: bytes };
    let mut open: Vec<u64> = vec![1];
    while let Some(left) = open.last_mut() {
        if *left == 0 {
            open.pop();
            continue;
        }
        *left -= 1;
        let children = scan.item()?;
        if children > 0 {
            if open.len() > MAX_DEPTH {
                return Err(Refusal::Malformed);
            }
            open.push(children);
        }
    }
    if scan.rest.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Malformed)
    }
}

/// Walks over the heads of CBOR items.
struct Scan<'a> {
    rest: &'a [u8],
}

impl Scan<'_> {
    /// Passes one head and its bytes; gives how many items it contains.
    fn item(&mut self) -> Result<u64, Refusal> {
        let (&head, rest) = self.rest.split_first().ok_or(Refusal::Malformed)?;
        self.rest = rest;
        let argument = self.argument(head & 0x1f)?;
        match head >> 5 {
            2 | 3 => self.skip(argument).map(|()| 0),
            4 => elements(argument),
            5 => elements(argument).map(|pairs| pairs * 2),
            6 => Ok(1),
            _ => Ok(0),
        }
    }

    fn argument(&mut self, info: u8) -> Result<u64, Refusal> {
        let width = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(Refusal::Malformed),
        };
        let (number, rest) = self
            .rest
            .split_at_checked(width)
            .ok_or(Refusal::Malformed)?;
        self.rest = rest;
        Ok(number
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn skip(&mut self, length: u64) -> Result<(), Refusal> {
        let length = usize::try_from(length).map_err(|_| Refusal::Malformed)?;
        self.rest = self.rest.get(length..).ok_or(Refusal::Malformed)?;
        Ok(())
    }
}

fn elements(count: u64) -> Result<u64, Refusal> {
    if count <= MAX_ELEMENTS {
        Ok(count)
    } else {
        Err(Refusal::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use ipld_core::ipld::Ipld;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shortest_form_is_due_for_every_number() {
        assert_eq!(decode::<u64>(&[0x17]), Ok(23));
        assert!(decode::<u64>(&[0x18, 0x17]).is_err());
    }

    #[test]
    fn map_keys_out_of_order_are_refused() {
        assert!(decode::<Ipld>(b"\xa2\x61b\x01\x61a\x02").is_err());
        assert!(decode::<Ipld>(b"\xa2\x61a\x01\x61b\x02").is_ok());
    }

    #[test]
    fn a_seventeenth_level_is_refused_before_it_is_built() {
        let nested = |levels: usize| [vec![0x81; levels], vec![0x01]].concat();
        assert!(decode::<Ipld>(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            decode::<Ipld>(&nested(MAX_DEPTH + 1)),
            Err(Refusal::Malformed)
        );
        assert_eq!(decode::<Ipld>(&nested(200_000)), Err(Refusal::Malformed));
    }

    #[test]
    fn a_list_that_announces_billions_is_refused_at_its_head() {
        let head = [0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(decode::<Ipld>(&head), Err(Refusal::Malformed));
    }

    #[test]
    fn one_byte_over_the_cap_is_oversized() {
        let long = encode(&serde_bytes::ByteBuf::from(vec![0; MAX_BYTES - 5])).unwrap();
        assert_eq!(long.len(), MAX_BYTES);
        assert!(check_bounds(&long).is_ok());
        assert_eq!(
            check_bounds(&[long, vec![0]].concat()),
            Err(Refusal::Oversized)
        );
    }

    #[test]
    fn bytes_after_the_value_are_refused() {
        assert_eq!(decode::<u64>(&[1, 1]), Err(Refusal::Malformed));
    }

    fn ipld() -> impl Strategy<Value = Ipld> {
        let leaf = prop_oneof![
            Just(Ipld::Null),
            any::<bool>().prop_map(Ipld::Bool),
            any::<i64>().prop_map(|n| Ipld::Integer(n.into())),
            ".{0,12}".prop_map(Ipld::String),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Ipld::Bytes),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Ipld::List),
                proptest::collection::btree_map("[a-z]{0,6}", inner, 0..6).prop_map(Ipld::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(value in ipld()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(decode::<Ipld>(&bytes), Ok(value.clone()));
            let text = crate::wire::dagjson::encode(&value).unwrap();
            prop_assert_eq!(crate::wire::dagjson::decode::<Ipld>(&text), Ok(value));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = decode::<Ipld>(&bytes) {
                prop_assert_eq!(encode(&value).unwrap(), bytes);
            }
        }
    }
}
