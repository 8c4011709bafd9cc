//! The JSON Schema of gateway.toml (draft 7), for completion and hints in editors: taplo and Even
//! Better TOML.

use serde_json::{Map, Value, json};

use super::keys;
use super::reader::{KeyInfo, Kind};

/// Any text may be, or hold, an environment variable.
const VARIABLE: &str = r"\$\{";

/// The schema of the whole file.
#[must_use]
pub fn schema() -> Value {
    let keys = keys();
    let mut schema = table(&keys, "");
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(
            "$schema".to_owned(),
            json!("http://json-schema.org/draft-07/schema#"),
        );
        schema.insert("title".to_owned(), json!("skeygate: gateway.toml"));
    }
    schema
}

/// The schema of a table: its keys, and the tables inside it.
fn table(keys: &[KeyInfo], path: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for info in keys.iter().filter(|info| info.table == path) {
        properties.insert(info.key.to_owned(), key(keys, info));
        if info.required {
            required.push(info.key);
        }
    }
    for name in inner_tables(keys, path) {
        let inner = inner_path(path, name);
        let value = match inner.as_str() {
            "apps" | "login" | "routes" => json!({ "type": "array", "items": table(keys, &inner) }),
            "upstreams" => {
                json!({ "type": "object", "additionalProperties": table(keys, "upstreams.NAME") })
            }
            inner => table(keys, inner),
        };
        properties.entry(name.to_owned()).or_insert(value);
    }
    let mut schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn key(keys: &[KeyInfo], info: &KeyInfo) -> Value {
    let default = info.default.and_then(parsed);
    let Some(declared) = info.declared else {
        let off = default.unwrap_or(Value::Null);
        return json!({ "enum": [off], "description": "Not available in this version." });
    };
    let mut schema = kind(keys, &inner_path(&info.table, info.key), declared.kind);
    schema["description"] = json!(declared.about);
    // A secret's default is none.
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

fn kind(keys: &[KeyInfo], path: &str, of: Kind) -> Value {
    let pattern =
        |pattern: &str| json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}") });
    match of {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer => json!({ "type": "integer", "minimum": 0 }),
        Kind::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Duration => pattern("^[0-9]+(ms|s|m|h|d)$"),
        Kind::Size => pattern("^[0-9]+(B|KiB|MiB|GiB)$"),
        Kind::Rate => pattern("^[0-9]+/[smh]$"),
        Kind::Secret | Kind::Text(_) => json!({ "type": "string" }),
        Kind::Word(words) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": VARIABLE }] })
        }
        Kind::List(item) => json!({ "type": "array", "items": kind(keys, path, *item) }),
        Kind::Names(_) => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Table => table(keys, path),
        Kind::Or(kinds) => {
            let kinds: Vec<Value> = kinds.iter().map(|of| kind(keys, path, *of)).collect();
            json!({ "anyOf": kinds })
        }
    }
}

/// A default as JSON; the file's own syntax is TOML's.
fn parsed(default: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {default}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

/// The names of the tables right inside one, each once.
fn inner_tables<'k>(keys: &'k [KeyInfo], path: &str) -> Vec<&'k str> {
    let mut names = Vec::new();
    for info in keys {
        let rest = match path {
            "" => Some(info.table.as_str()),
            path => info
                .table
                .strip_prefix(path)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest
            .and_then(|rest| rest.split('.').next())
            .unwrap_or_default();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn inner_path(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
