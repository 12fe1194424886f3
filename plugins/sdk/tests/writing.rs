//! The SDK writes the same bytes as `serde_json`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use sluice_sdk::prelude::*;
use sluice_sdk::serde::{self, Serialize, Serializer};
use sluice_sdk::{BatchBuilder, Id};

/// Returns the value as the SDK writes it. Writes it twice, because the second starts in the middle of the buffer.
fn written(value: &(impl Serialize + ?Sized)) -> String {
    let mut batch = BatchBuilder::default();
    batch.push(b"[");
    batch.push_json(value);
    batch.push_json(value);
    let batch = batch.finish();
    let [start, middle, end] = batch.ends[..] else { panic!("three records: {:?}", batch.ends) };
    let of = |from, to| String::from_utf8(batch.bytes[from as usize..to as usize].to_vec()).expect("JSON is UTF-8");
    assert_eq!((of(0, start), batch.bytes.len()), ("[".into(), end as usize));
    assert_eq!(of(start, middle), of(middle, end));
    of(start, middle)
}

/// Asserts that the SDK writes the value as `serde_json` does.
fn assert_same_as_serde_json(value: &(impl Serialize + ?Sized)) {
    assert_eq!(written(value), serde_json::to_string(value).expect("a writable value"));
}

/// A text that `Display` writes in fragments.
struct Fragments<'a>(&'a str);

impl Serialize for Fragments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}-{}", self.0, 7, self.0))
    }
}

#[test]
fn writes_texts() {
    let odd = ["\"", "\\", "\n", "\u{0}", "\u{1f}", "\u{7f}", "/", "ž", "€", "𝄞", "\u{2028}", " ", "!", "#", "[", "]"];
    for length in 0..40 {
        assert_same_as_serde_json(&"x".repeat(length));
        for odd in odd {
            for at in 0..=length {
                let text = ["x".repeat(at), odd.into(), "ů".repeat(length - at)].concat();
                assert_same_as_serde_json(&text);
                assert_same_as_serde_json(&Fragments(&text));
            }
        }
    }
    for byte in '\0'..='\u{ff}' {
        assert_same_as_serde_json(&byte);
    }
    // Longer than the initial buffer of a batch.
    assert_same_as_serde_json(&"y".repeat(100_000));
    assert_same_as_serde_json(&vec!["a \"quoted\" text"; 10_000]);
}

#[test]
fn writes_numbers() {
    assert_same_as_serde_json(&(i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN, 0, -1));
    assert_same_as_serde_json(&(u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX, isize::MAX));
    assert_same_as_serde_json(&(0.0, -0.0, 1.5, 1e300, f64::MIN_POSITIVE, f32::MAX, f64::NAN, f32::INFINITY));
    assert_same_as_serde_json(&(true, false, (), None::<u8>, Some(1)));
}

/// An amount keeps exactly the digits of its decimal.
#[test]
fn writes_amounts() {
    let longest = "79228162514264337593543950335";
    let shifted = "0.0000000000000000000000000001";
    let cases =
        ["0", "-0", "0.00", "-0.00", "1", "-1", "0.5", "0.05", "-0.05", "100.50", "12345678901234567.89", longest];
    for digits in cases.into_iter().chain([shifted, "18446744073709551615", "18446744073709551616", "-7.9228162514"]) {
        let amount = Amount(Decimal::from_str_exact(digits).expect("a decimal"));
        assert_eq!(written(&amount), amount.0.to_string(), "{digits}");
        assert_same_as_serde_json(&amount);
        assert_same_as_serde_json(&json!({"amount": amount}));
        assert_same_as_serde_json(&Money { amount, currency: "CZK".into() });
    }
    for scale in 0..=28 {
        for mantissa in [1, -10, 123_456_789, i64::MAX, i64::MIN] {
            let amount = Amount(Decimal::new(mantissa, scale));
            assert_eq!(written(&amount), amount.0.to_string());
        }
    }
}

#[test]
fn writes_ids_and_dates() {
    for byte in 0..=255 {
        let id = reference_id(&[byte; 16], "counterparties", byte);
        assert_eq!(written(&id), format!("\"{id}\""));
        assert_eq!(Id::parse(&id.to_string()), Some(id));
    }
    for (year, month, day) in [(1993, 7, 5), (1, 1, 1), (9999, 12, 31), (2024, 2, 29)] {
        assert_same_as_serde_json(&Date::new(year, month, day).expect("a day"));
    }
}

#[derive(Serialize)]
#[serde(crate = "serde")]
enum Shape<'a> {
    Unit,
    Newtype(&'a str),
    Tuple(u8, Option<&'a str>),
    Struct { a: u8, b: Vec<Shape<'a>> },
    Empty {},
}

#[derive(Serialize)]
#[serde(crate = "serde")]
struct Everything<'a> {
    #[serde(rename = "odd \"name\"")]
    odd: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<u8>,
    raw: &'a RawValue,
    shapes: Vec<Shape<'a>>,
    #[serde(flatten)]
    more: BTreeMap<&'a str, &'a RawValue>,
    unit: Unit,
    pair: Pair<'a>,
}

#[derive(Serialize)]
#[serde(crate = "serde")]
struct Unit;

#[derive(Serialize)]
#[serde(crate = "serde")]
struct Pair<'a>(u8, &'a str);

#[test]
fn writes_structs_enums_and_collections() {
    let raw: &RawValue = serde_json::from_str("[ 1.10, {\"a\" : \"\\u0041\"} ]").expect("JSON");
    let shapes = || {
        let b = vec![Shape::Unit, Shape::Newtype("\"")];
        vec![Shape::Unit, Shape::Newtype("n"), Shape::Tuple(1, None), Shape::Struct { a: 1, b }, Shape::Empty {}]
    };
    let more = BTreeMap::from([("x", raw), ("y\n", raw)]);
    let pair = Pair(1, "two");
    assert_same_as_serde_json(&Everything { odd: 1, absent: None, raw, shapes: shapes(), more, unit: Unit, pair });
    assert_same_as_serde_json(&(shapes(), Vec::<u8>::new(), BTreeMap::<u8, u8>::new(), [[0u8; 0]; 2], ["a"; 3]));
    assert_same_as_serde_json(&json!({"a": [1, -2, 3.25, null, true, {"b": {}}, []], "c\"d": "e\\f"}));
}

fn with_name(name: impl Serialize) -> impl Serialize {
    struct OneNameTwice<N>(N);
    impl<N: Serialize> Serialize for OneNameTwice<N> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([(&self.0, 1), (&self.0, 2)])
        }
    }
    OneNameTwice(name)
}

/// A scalar becomes a text, and any other name is refused.
#[test]
fn writes_scalars_as_names() {
    assert_same_as_serde_json(&with_name("a\"b"));
    assert_same_as_serde_json(&with_name(-7));
    assert_same_as_serde_json(&with_name(u128::MAX));
    assert_same_as_serde_json(&with_name(1.5));
    assert_same_as_serde_json(&with_name(true));
    assert_same_as_serde_json(&with_name('"'));
    assert_same_as_serde_json(&with_name(Some("some")));
    assert_same_as_serde_json(&with_name(Shape::Unit));
    assert_same_as_serde_json(&with_name(Fragments("told\n")));
    assert_same_as_serde_json(&with_name(reference_id(&[1; 16], "a", 1)));
    fn is_refused(name: impl Serialize + fmt::Debug) {
        let description = format!("{name:?}");
        let value = with_name(name);
        assert!(serde_json::to_string(&value).is_err(), "{description}");
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| written(&value)));
        assert!(written.is_err(), "{description}");
    }
    is_refused(());
    is_refused(None::<u8>);
    is_refused(f64::NAN);
    is_refused([1]);
    is_refused(BTreeMap::from([(1, 1)]));
}
