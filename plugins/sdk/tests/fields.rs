//! Checks of every kind of field.

use sluice_sdk::Domain;
use sluice_sdk::harness::{Harness, Row, with};
use sluice_sdk::schema::{Entity, Field, Kind, MONEY, optional, required};

struct Kinds;

impl Domain for Kinds {
    const NAME: &'static str = "kinds";
    const DOMAIN: &'static str = "Kinds";
    const ENTITIES: &'static [Entity] = &[Entity {
        name: "kinds",
        fields: &[
            required("referenceId", Kind::ReferenceId),
            required("type", Kind::OneOf(&["cat", "dog"])),
            optional("tag", Kind::Id),
            optional("owner", Kind::Reference("owners")),
            optional("text", Kind::Text(5)),
            optional("flag", Kind::Boolean),
            optional("whole", Kind::Integer(-2, 12)),
            optional("rate", Kind::Decimal(0, 100)),
            optional("day", Kind::Date),
            optional("price", Kind::Money),
            optional("income", Kind::MoneyWith(INCOME)),
            optional("mail", Kind::Email),
            optional("codes", Kind::List(&Kind::Object(CODE), 0)),
            optional("country", Kind::Country),
            optional("child", Kind::Object(MONEY)),
            optional("list", Kind::List(&Kind::Text(3), 1)),
            optional("parts", Kind::List(&Kind::Object(PART), 0)),
            required("purr", Kind::Boolean).only_if("type", &["cat"]),
            optional("bark", Kind::Object(PART)).only_if("type", &["dog"]),
        ],
        at_least_one: &["flag", "purr"],
        amounts: &[],
        counts: &[],
    }];
}

const INCOME: &[Field] = &[
    required("amount", Kind::Decimal(0, i64::MAX)),
    required("currency", Kind::Currency),
    optional("every", Kind::OneOf(&["day"])),
];
const CODE: &[Field] = &[optional("system", Kind::IdentifierKind(9)), optional("value", Kind::Identifier(40))];
const PART: &[Field] = &[required("name", Kind::Text(9)), optional("of", Kind::Reference("owners"))];

const RECORD: &str = r#"{"referenceId": "6a1f0f5e-0000-4000-8000-000000000001", "type": "cat", "purr": true,
    "tag": "6a1f0f5e-0000-4000-8000-000000000002", "owner": "6a1f0f5e-0000-4000-8000-000000000003", "text": "Ünïcö",
    "flag": false, "whole": 12, "rate": 4.25, "day": "2024-02-29", "price": {"amount": 10.55, "currency": "EUR"},
    "income": {"amount": 9, "currency": "JPY", "every": "day"}, "mail": "a@b.cz",
    "codes": [{"system": "core", "value": "1"}, {"system": "LEI", "value": "529900T8BM49AURSDO55"}], "country": "CZ",
    "child": {"amount": 1, "currency": "CZK"}, "list": ["a"], "parts": [{"name": "x"}, {"name": "y"}]}"#;

const ROWS: &[Row] = &[
    ("child", "1e999", "INVALID_FORMAT child"),
    ("child", r#""\ud800""#, "INVALID_FORMAT child"),
    ("child", r#"{"\ud800": 1}"#, "INVALID_FORMAT child"),
    ("list", "[1e999]", "INVALID_FORMAT list[0]"),
    ("parts", "[1e999]", "INVALID_FORMAT parts[0]"),
    ("referenceId", "", "MISSING_REQUIRED_FIELD referenceId"),
    ("referenceId", "null", "MISSING_REQUIRED_FIELD referenceId"),
    ("referenceId", "7", "INVALID_FORMAT referenceId"),
    ("referenceId", r#""6a1f0f5e000040008000000000000001""#, "INVALID_FORMAT referenceId"),
    ("referenceId", r#""6a1f0f5e-0000-4000-8000-00000000000g""#, "INVALID_FORMAT referenceId"),
    ("referenceId", r#""00000000-0000-0000-0000-000000000000""#, "INVALID_VALUE referenceId"),
    ("referenceId", r#""6A1F0F5E-0000-4000-8000-000000000001""#, ""),
    ("tag", r#""x""#, "INVALID_FORMAT tag"),
    ("tag", "null", ""),
    ("owner", "{}", "INVALID_FORMAT owner"),
    ("owner", r#""""#, "INVALID_FORMAT owner"),
    ("type", "", "MISSING_REQUIRED_FIELD type"),
    ("type", r#""cow""#, "INVALID_VALUE type"),
    ("type", r#""\u0063at""#, ""),
    ("type", "[]", "INVALID_FORMAT type"),
    ("type", r#""dog""#, "UNKNOWN_FIELD purr"),
    ("text", r#""Ünïcöd""#, "OUT_OF_RANGE text"),
    ("text", r#""\u00dcn\u00efc\u00f6""#, ""),
    ("text", r#""""#, "INVALID_VALUE text"),
    ("text", r#"" \t""#, "INVALID_VALUE text"),
    ("text", r#""a\u0000""#, "INVALID_FORMAT text"),
    ("text", r#""\ud83d""#, "INVALID_FORMAT text"),
    ("text", "5", "INVALID_FORMAT text"),
    ("text", "1e999", "INVALID_FORMAT text"),
    ("text", r#"{"a": [1, {}]}"#, "INVALID_FORMAT text"),
    ("flag", "1", "INVALID_FORMAT flag"),
    ("flag", r#""true""#, "INVALID_FORMAT flag"),
    ("whole", "13", "OUT_OF_RANGE whole"),
    ("whole", "-2", ""),
    ("whole", "-3", "OUT_OF_RANGE whole"),
    ("whole", "-0", "INVALID_FORMAT whole"),
    ("whole", "1.0", "INVALID_FORMAT whole"),
    ("whole", "1e1", "INVALID_FORMAT whole"),
    ("whole", r#""1""#, "INVALID_FORMAT whole"),
    ("whole", "99999999999999999999999999", "OUT_OF_RANGE whole"),
    ("rate", "100", ""),
    ("rate", "1e2", ""),
    ("rate", "100.0000000000000000000000001", "OUT_OF_RANGE rate"),
    ("rate", "-0.1", "OUT_OF_RANGE rate"),
    ("rate", "1e999", "OUT_OF_RANGE rate"),
    ("rate", r#""4""#, "INVALID_FORMAT rate"),
    ("rate", "true", "INVALID_FORMAT rate"),
    ("day", r#""2023-02-29""#, "INVALID_FORMAT day"),
    ("day", r#""29-02-2024""#, "INVALID_FORMAT day"),
    ("day", r#""2024-02-29T00:00""#, "INVALID_FORMAT day"),
    ("day", "20240229", "INVALID_FORMAT day"),
    ("price", "10.55", "INVALID_FORMAT price"),
    ("price", r#""10.55 EUR""#, "INVALID_FORMAT price"),
    ("price", "[]", "INVALID_FORMAT price"),
    ("price", "null", ""),
    ("price", "{}", "MISSING_REQUIRED_FIELD price.amount; MISSING_REQUIRED_FIELD price.currency"),
    ("price.amount", "", "MISSING_REQUIRED_FIELD price.amount"),
    ("price.amount", "10.555", "OUT_OF_RANGE price.amount"),
    ("price.amount", "10.5500", ""),
    ("price.amount", "1055e-2", ""),
    ("price.amount", "0", ""),
    ("price.amount", "-1", "OUT_OF_RANGE price.amount"),
    ("price.amount", "92233720368547758.07", ""),
    ("price.amount", "92233720368547758.08", "OUT_OF_RANGE price.amount"),
    ("price.amount", r#""10""#, "INVALID_FORMAT price.amount"),
    ("price.currency", r#""JPY""#, "OUT_OF_RANGE price.amount"),
    ("price.currency", r#""KWD""#, ""),
    ("price.currency", r#""eur""#, "INVALID_VALUE price.currency"),
    ("price.currency", r#""EURO""#, "INVALID_VALUE price.currency"),
    ("price.currency", "978", "INVALID_FORMAT price.currency"),
    ("price.curency", "1", "UNKNOWN_FIELD price.curency"),
    ("income.amount", "9.5", "OUT_OF_RANGE income.amount"),
    ("income.every", r#""hour""#, "INVALID_VALUE income.every"),
    ("income.every", "", ""),
    ("text", "", ""),
    ("codes[0].system", r#""IBAN""#, "INVALID_FORMAT codes[0].value"),
    ("codes[0].system", "1", "INVALID_FORMAT codes[0].system"),
    ("codes[0]", r#"{"value": "NL91ABNA0417164300", "system": "IBAN"}"#, ""),
    ("codes[0]", r#"{"value": "NL92ABNA0417164300", "system": "IBAN"}"#, "INVALID_CHECK_DIGITS codes[0].value"),
    ("codes[0]", r#"{"value": "NL92ABNA0417164300"}"#, ""),
    ("codes[1].value", r#""529900T8BM49AURSDO56""#, "INVALID_CHECK_DIGITS codes[1].value"),
    ("codes[1].value", "1", "INVALID_FORMAT codes[1].value"),
    ("codes[1].value", "", ""),
    ("codes[1].system", r#""lei""#, ""),
    ("mail", r#""a@b@c""#, "INVALID_FORMAT mail"),
    ("mail", r#""a b@c""#, "INVALID_FORMAT mail"),
    ("mail", r#""@c""#, "INVALID_FORMAT mail"),
    ("mail", r#""""#, "INVALID_VALUE mail"),
    ("country", r#""cz""#, "INVALID_VALUE country"),
    ("country", r#""XX""#, "INVALID_VALUE country"),
    ("country", "1", "INVALID_FORMAT country"),
    ("child", "[]", "INVALID_FORMAT child"),
    ("child", "false", "INVALID_FORMAT child"),
    ("list", "[]", "MISSING_REQUIRED_FIELD list"),
    ("list", "{}", "INVALID_FORMAT list"),
    ("list", r#""a""#, "INVALID_FORMAT list"),
    ("list", r#"["a", 1, "", "long"]"#, "INVALID_FORMAT list[1]; INVALID_VALUE list[2]; OUT_OF_RANGE list[3]"),
    ("list", r#"[null]"#, "INVALID_FORMAT list[0]"),
    ("parts[1].name", "", "MISSING_REQUIRED_FIELD parts[1].name"),
    ("parts[1].nmae", "{}", "UNKNOWN_FIELD parts[1].nmae"),
    ("parts[1]", "null", "INVALID_FORMAT parts[1]"),
    ("parts[1]", "[]", "INVALID_FORMAT parts[1]"),
    ("purr", "", "MISSING_REQUIRED_FIELD purr"),
    ("bark", r#"{"name": 5}"#, "UNKNOWN_FIELD bark"),
    ("bark", "null", ""),
    ("addressLine2", "1", "UNKNOWN_FIELD addressLine2"),
    // A name that could be personal data is not shown.
    ("Jan de Vries", "1", "UNKNOWN_FIELD ?"),
    ("tel0612345678", "1", "UNKNOWN_FIELD ?"),
];

#[test]
fn reports_each_invalid_value_of_each_kind_of_field() {
    Harness::new().check_rows::<Kinds>("kinds", false, RECORD, ROWS);
}

#[test]
fn reports_malformed_records() {
    let id = r#""referenceId": "6a1f0f5e-0000-4000-8000-000000000001", "type": "cat", "purr": true"#;
    for (record, expected) in [
        (format!("{{{id}}}"), ""),
        (format!("{{{id}, \"type\": \"cat\"}}"), "DUPLICATE_FIELD type"),
        (format!("{{{id}}} {{}}"), "INVALID_JSON"),
        (format!("{{{id}"), "INVALID_JSON"),
        ("[]".into(), "INVALID_JSON"),
        ("null".into(), "INVALID_JSON"),
        ("17".into(), "INVALID_JSON"),
        (r#""referenceId""#.into(), "INVALID_JSON"),
        ("referenceId".into(), "INVALID_JSON"),
    ] {
        assert_eq!(Harness::new().said::<Kinds>("kinds", false, &record), expected, "{record}");
    }
}

#[test]
fn lists_at_most_fifty_issues_per_record() {
    let words: Vec<String> = (0..1_000).map(|word| word.to_string()).collect();
    let record = with(RECORD, "list", &format!("[{}]", words.join(",")));
    assert_eq!(Harness::new().issues::<Kinds>("kinds", false, &record).len(), 50);
}

#[test]
fn follows_references_only_in_scope_migration() {
    let harness = Harness::new();
    let record = with(RECORD, "parts[1].of", r#""6a1f0f5e-0000-4000-8000-000000000003""#);
    assert_eq!(harness.said::<Kinds>("kinds", false, &record), "");
    assert_eq!(
        harness.said::<Kinds>("kinds", true, &format!("{record}\n{}", with(RECORD, "owner", "null"))),
        "UNKNOWN_REFERENCE owner; UNKNOWN_REFERENCE parts[1].of"
    );
    harness.stage("owners", r#"{"referenceId": "6a1f0f5e-0000-4000-8000-000000000003"}"#);
    assert_eq!(harness.said::<Kinds>("kinds", true, &record), "");
}

#[test]
fn returns_sixteen_zero_bytes_for_a_record_without_an_id() {
    let validated = Harness::new().validate::<Kinds>("kinds", false, &format!("{{}}\n{}", RECORD.replace('\n', "")));
    assert_eq!(validated.ids[..16], [0; 16]);
    assert_eq!(validated.ids[16..20], [0x6a, 0x1f, 0x0f, 0x5e]);
}
