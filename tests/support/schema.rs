//! The JSON Schema that ships, and documents judged by it.

// Each test binary has a copy of this module and uses its own part of it.
#![allow(dead_code)]

use anyhow::{Context as _, Result, ensure};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The schema's text.
pub const TEXT: &str = include_str!("../../schema/ipvsadm-rs.schema.json");

/// The schema as it ships, and a stricter one that knows no other members than those it names: so nothing is printed that is
/// not described.
#[derive(Debug)]
pub struct Schema {
    shipped: Validator,
    strict: Validator,
}

impl Schema {
    /// Reads them.
    pub fn new() -> Result<Self> {
        let shipped: Value = serde_json::from_str(TEXT).context("the schema is not JSON")?;
        let mut strict = shipped.clone();
        forbid_others(&mut strict);
        Ok(Self { shipped: validator(&shipped)?, strict: validator(&strict)? })
    }

    /// Whether this is a document of this kind, on one line or on several.
    pub fn check(&self, kind: &str, text: &str) -> Result<Value> {
        let document: Value = serde_json::from_str(text).with_context(|| format!("no JSON: {text}"))?;
        ensure!(text.ends_with('\n') && !text.ends_with("\n\n"), "not one line feed at the end: {text:?}");
        for validator in [&self.shipped, &self.strict] {
            let wrong: Vec<String> =
                validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
            ensure!(wrong.is_empty(), "not as the schema has it:\n{}\n{text}", wrong.join("\n"));
        }
        ensure!(document["schema"] == 1, "another version: {text}");
        ensure!(document.get(kind).is_some(), "no {kind}: {text}");
        Ok(document[kind].clone())
    }
}

fn validator(schema: &Value) -> Result<Validator> {
    jsonschema::draft202012::meta::validate(schema).map_err(|error| anyhow::anyhow!("no schema: {error}"))?;
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(schema).map_err(|error| anyhow::anyhow!("no schema: {error}"))
}

/// Wherever members are named, there are no others.
fn forbid_others(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(forbid_others);
            if members.get("properties").is_some_and(Value::is_object) {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(forbid_others),
        _ => {}
    }
}
