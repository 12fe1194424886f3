//! What a plugin puts is written byte by byte as `serde_json` writes it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use sluice_sdk::prelude::*;
use sluice_sdk::serde::{self, Serialize, Serializer};
use sluice_sdk::{BatchBuilder, Id};

/// Twice, as the second begins where the first has ended.
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

fn is_as_ever(value: &(impl Serialize + ?Sized)) {
    assert_eq!(written(value), serde_json::to_string(value).expect("it can be written"));
}

/// Written at once, and told in pieces.
struct Told<'a>(&'a str);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}-{}", self.0, 7, self.0))
    }
}

#[test]
fn texts() {
    let odd = ["\"", "\\", "\n", "\u{0}", "\u{1f}", "\u{7f}", "/", "ž", "€", "𝄞", "\u{2028}", " ", "!", "#", "[", "]"];
    for length in 0..40 {
        is_as_ever(&"x".repeat(length));
        for odd in odd {
            for at in 0..=length {
                let text = ["x".repeat(at), odd.into(), "ů".repeat(length - at)].concat();
                is_as_ever(&text);
                is_as_ever(&Told(&text));
            }
        }
    }
    for byte in '\0'..='\u{ff}' {
        is_as_ever(&byte);
    }
    // Longer than what a batch begins with.
    is_as_ever(&"y".repeat(100_000));
    is_as_ever(&vec!["a \"quoted\" text"; 10_000]);
}

#[test]
fn numbers() {
    is_as_ever(&(i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN, 0, -1));
    is_as_ever(&(u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX, isize::MAX));
    is_as_ever(&(0.0, -0.0, 1.5, 1e300, f64::MIN_POSITIVE, f32::MAX, f64::NAN, f32::INFINITY));
    is_as_ever(&(true, false, (), None::<u8>, Some(1)));
}

/// With the digits that a decimal has, and no others.
#[test]
fn amounts() {
    let longest = "79228162514264337593543950335";
    let shifted = "0.0000000000000000000000000001";
    let cases =
        ["0", "-0", "0.00", "-0.00", "1", "-1", "0.5", "0.05", "-0.05", "100.50", "12345678901234567.89", longest];
    for digits in cases.into_iter().chain([shifted, "18446744073709551615", "18446744073709551616", "-7.9228162514"]) {
        let amount = Amount(Decimal::from_str_exact(digits).expect("a decimal"));
        assert_eq!(written(&amount), amount.0.to_string(), "{digits}");
        is_as_ever(&amount);
        is_as_ever(&json!({"amount": amount}));
        is_as_ever(&Money { amount, currency: "CZK".into() });
    }
    for scale in 0..=28 {
        for mantissa in [1, -10, 123_456_789, i64::MAX, i64::MIN] {
            let amount = Amount(Decimal::new(mantissa, scale));
            assert_eq!(written(&amount), amount.0.to_string());
        }
    }
}

#[test]
fn ids_and_dates() {
    for byte in 0..=255 {
        let id = reference_id(&[byte; 16], "counterparties", byte);
        assert_eq!(written(&id), format!("\"{id}\""));
        assert_eq!(Id::parse(&id.to_string()), Some(id));
    }
    for (year, month, day) in [(1993, 7, 5), (1, 1, 1), (9999, 12, 31), (2024, 2, 29), (-1, 12, 31)] {
        is_as_ever(&Date::new(year, month, day).expect("a day"));
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
fn shapes() {
    let raw: &RawValue = serde_json::from_str("[ 1.10, {\"a\" : \"\\u0041\"} ]").expect("JSON");
    let shapes = || {
        let b = vec![Shape::Unit, Shape::Newtype("\"")];
        vec![Shape::Unit, Shape::Newtype("n"), Shape::Tuple(1, None), Shape::Struct { a: 1, b }, Shape::Empty {}]
    };
    let more = BTreeMap::from([("x", raw), ("y\n", raw)]);
    let pair = Pair(1, "two");
    is_as_ever(&Everything { odd: 1, absent: None, raw, shapes: shapes(), more, unit: Unit, pair });
    is_as_ever(&(shapes(), Vec::<u8>::new(), BTreeMap::<u8, u8>::new(), [[0u8; 0]; 2], ["a"; 3]));
    is_as_ever(&json!({"a": [1, -2, 3.25, null, true, {"b": {}}, []], "c\"d": "e\\f"}));
}

fn with_name(name: impl Serialize) -> impl Serialize {
    struct Named<N>(N);
    impl<N: Serialize> Serialize for Named<N> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([(&self.0, 1), (&self.0, 2)])
        }
    }
    Named(name)
}

/// Scalars become texts.
#[test]
fn names() {
    is_as_ever(&with_name("a\"b"));
    is_as_ever(&with_name(-7));
    is_as_ever(&with_name(u128::MAX));
    is_as_ever(&with_name(1.5));
    is_as_ever(&with_name(true));
    is_as_ever(&with_name('"'));
    is_as_ever(&with_name(Some("some")));
    is_as_ever(&with_name(Shape::Unit));
    is_as_ever(&with_name(Told("told\n")));
    is_as_ever(&with_name(reference_id(&[1; 16], "a", 1)));
    fn is_refused(name: impl Serialize + fmt::Debug) {
        let told = format!("{name:?}");
        let value = with_name(name);
        assert!(serde_json::to_string(&value).is_err(), "{told}");
        let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| written(&value)));
        assert!(written.is_err(), "{told}");
    }
    is_refused(());
    is_refused(None::<u8>);
    is_refused(f64::NAN);
    is_refused([1]);
    is_refused(BTreeMap::from([(1, 1)]));
}
