//! JSON Schema of an entity type, made from its table of fields.

use serde_json::{Map, Value, json};

use crate::identifiers::IdentifierKind;
use crate::schema::{Entity, Field, Kind, MAX_EMAIL, MONEY};

/// Dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Pattern of a text that is not blank and has no NUL.
const NOT_BLANK: &str = r"^[^\u0000]*[^\s\u0000][^\u0000]*$";

impl Entity {
    /// Returns the JSON Schema of a record, for readers and for tools that check records before an upload. What a schema
    /// cannot say, such as the fraction digits of a currency and the rules of a domain, it leaves out.
    pub fn json_schema(&self) -> Value {
        let mut schema = object(self.fields);
        let fields = schema.as_object_mut().expect("an object's schema is an object");
        fields.insert("$schema".into(), DIALECT.into());
        fields.insert("$id".into(), format!("/schemas/{}", self.name).into());
        fields.insert("title".into(), self.name.into());
        if !self.at_least_one.is_empty() {
            let is_there =
                |name: &&str| json!({ "required": [name], "properties": { *name: { "not": { "type": "null" } } } });
            fields.insert("anyOf".into(), self.at_least_one.iter().map(is_there).collect());
        }
        schema
    }
}

/// Returns the schema of an object with these fields.
fn object(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    let mut conditions = vec![];
    for field in fields {
        let is_required = field.required && field.only_if.is_none();
        properties.insert(field.name.into(), if is_required { value(field.kind) } else { or_null(value(field.kind)) });
        conditions.extend(condition(field));
    }
    let required: Vec<&str> = fields.iter().filter(|f| f.required && f.only_if.is_none()).map(|f| f.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !conditions.is_empty() {
        schema["allOf"] = Value::Array(conditions);
    }
    schema
}

/// Returns the condition of a field that only some records have.
fn condition(field: &Field) -> Option<Value> {
    let (decider, words) = field.only_if?;
    let mut condition = json!({
        "if": { "required": [decider], "properties": { decider: { "enum": words } } },
        "else": { "properties": { field.name: { "type": "null" } } },
    });
    if field.required {
        let there = json!({ "required": [field.name], "properties": { field.name: { "not": { "type": "null" } } } });
        condition["then"] = there;
    }
    Some(condition)
}

/// Returns a schema that also permits `null`, which counts as absent.
fn or_null(mut schema: Value) -> Value {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    schema
}

/// Returns the schema of a value of this kind.
fn value(kind: Kind) -> Value {
    match kind {
        Kind::ReferenceId => {
            json!({ "type": "string", "format": "uuid", "not": { "const": "00000000-0000-0000-0000-000000000000" } })
        }
        Kind::Id => json!({ "type": "string", "format": "uuid" }),
        Kind::Reference(entity_type) => {
            let description = format!("Reference id of a record of {entity_type}.");
            json!({ "type": "string", "format": "uuid", "description": description })
        }
        Kind::Text(most) | Kind::Identifier(most) => text(most),
        Kind::IdentifierKind(most) => {
            let mut schema = text(most);
            let names: Vec<&str> = IdentifierKind::names().collect();
            let description =
                format!("With one of these names, the check digits of the value are checked: {}.", names.join(", "));
            schema["description"] = description.into();
            schema
        }
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Decimal(least, i64::MAX) => json!({ "type": "number", "minimum": least }),
        Kind::Decimal(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Money => object(MONEY),
        Kind::MoneyWith(fields) | Kind::Object(fields) => object(fields),
        Kind::Currency => json!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "Code of ISO 4217." }),
        Kind::Country => {
            json!({ "type": "string", "pattern": "^[A-Z]{2}$", "description": "Code of ISO 3166-1 alpha-2." })
        }
        Kind::Email => json!({ "type": "string", "format": "email", "maxLength": MAX_EMAIL }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
        Kind::List(item, 0) => json!({ "type": "array", "items": value(*item) }),
        Kind::List(item, least) => json!({ "type": "array", "items": value(*item), "minItems": least }),
    }
}

/// Returns the schema of a text of at most `most` characters.
fn text(most: usize) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": most, "pattern": NOT_BLANK })
}
