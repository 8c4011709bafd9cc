//! `skeygate schema`.

use serde_json::Value;

use crate::support::Folder;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn schema() -> Value {
    let said = Folder::new().skeygate(&["schema"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&said.stdout).expect("the schema is JSON")
}

fn problems(schema: &Value, file: &str) -> Vec<String> {
    let document: toml::Table = file.parse().expect("the file is TOML");
    let document = serde_json::to_value(document).expect("TOML fits into JSON");
    let mut found = Vec::new();
    validate(schema, &document, "", &mut found);
    found
}

#[test]
fn every_sample_is_valid_under_the_schema() {
    let schema = schema();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let mut samples = vec![];
    for name in ["gateway.toml", "deploy/compose/gateway.toml"] {
        let text = std::fs::read_to_string(format!("{ROOT}/{name}")).expect("a sample");
        let is_key = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
        let line = |line| str::strip_prefix(line, '#').filter(is_key).unwrap_or(line);
        let whole: Vec<&str> = text.lines().map(line).collect();
        samples.push(whole.join("\n"));
        samples.push(text);
    }
    let reference = std::fs::read_to_string(format!("{ROOT}/docs/CONFIGURATION.md"));
    let reference = reference.expect("the reference");
    let blocks = reference.split("```toml\n").skip(1);
    let blocks: Vec<String> = blocks
        .filter_map(|block| Some(block.split_once("```")?.0.to_owned()))
        .filter(|block| !block.contains("max_boddy"))
        .collect();
    samples.extend(blocks);
    assert!(samples.len() >= 7, "only {} samples", samples.len());
    for sample in samples {
        assert_eq!(problems(&schema, &sample), [] as [String; 0], "{sample}");
    }
}

#[test]
fn keys_and_values_outside_the_schema_are_refused() {
    let schema = schema();
    for (file, problem) in [
        ("[server]\nmax_boddy = 1", "/server/max_boddy: unknown"),
        ("[servers]", "/servers: unknown"),
        (
            "[[routes]]\npath = '/*'\nauht = 'off'",
            "/routes/0/auht: unknown",
        ),
        (
            "[upstreams.a]\nhost = 'b'",
            "/upstreams/a: `servers` is missing",
        ),
        (
            "[server]\nlisten = ':80'",
            "/server/listen: not of type array",
        ),
        ("[log]\nformat = 'yaml'", "/log/format: none of its kinds"),
        (
            "[server]\nidle_timeout = '5'",
            "/server/idle_timeout: not as ^[0-9]+(ms|s|m|h|d)$|\\$\\{",
        ),
        (
            "[redis]\nmode = 'cluster'",
            "/redis/mode: not one of [\"standalone\"]",
        ),
        (
            "[[login]]\nrate_limit = { per_user = '1/s' }",
            "/login/0/rate_limit: none of its kinds",
        ),
    ] {
        assert_eq!(problems(&schema, file), [problem], "{file}");
    }
    let variables = "[log]\nformat = '${FORMAT}'\n[server]\nidle_timeout = '${IDLE:-5s}'";
    assert_eq!(problems(&schema, variables), [] as [String; 0]);
}

#[test]
fn defaults_and_descriptions_are_those_of_the_keys() {
    let schema = schema();
    let key = &schema["properties"]["server"]["properties"]["header_timeout"];
    assert_eq!(key["default"], "10s");
    let text = key["description"].as_str().unwrap_or_default();
    assert!(text.starts_with("Time to the first bytes"), "{text}");
    let words = &schema["properties"]["log"]["properties"]["format"]["anyOf"][0]["enum"];
    assert_eq!(words, &serde_json::json!(["auto", "json", "text"]));
}

/// Holds a document to the part of draft 7 that the schema uses; a keyword that is not known here
/// fails.
fn validate(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut wrong = |what: String| found.push(format!("{path}: {what}"));
    let mut inner = Vec::new();
    for (keyword, rule) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => {}
            "type" => {
                let is = match rule.as_str().expect("a type") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    "number" => value.is_number(),
                    other => panic!("the type {other}"),
                };
                if !is {
                    wrong(format!("not of type {}", rule.as_str().unwrap_or_default()));
                }
            }
            "enum" => {
                if !rule.as_array().expect("a list").contains(value) {
                    wrong(format!("not one of {rule}"));
                }
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                wrong(format!("less than {rule}"));
            }
            "maximum" if value.as_f64() > rule.as_f64() => wrong(format!("more than {rule}")),
            "minimum" | "maximum" => {}
            "pattern" => {
                let text = value.as_str().unwrap_or_default();
                let pattern = rule.as_str().expect("a pattern");
                if !matches_pattern(pattern, text) {
                    wrong(format!("not as {pattern}"));
                }
            }
            "required" => {
                for name in rule.as_array().expect("a list") {
                    let name = name.as_str().expect("a name");
                    if value.is_object() && value.get(name).is_none() {
                        wrong(format!("`{name}` is missing"));
                    }
                }
            }
            "anyOf" => {
                let fits = |schema: &Value| {
                    let mut problems = Vec::new();
                    validate(schema, value, path, &mut problems);
                    problems.is_empty()
                };
                if !rule.as_array().expect("a list").iter().any(fits) {
                    wrong("none of its kinds".to_owned());
                }
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                inner.extend(items.map(|(index, item)| (rule, item, format!("{path}/{index}"))));
            }
            "properties" | "additionalProperties" => {
                let known = |name: &str| schema.get("properties").and_then(|all| all.get(name));
                for (name, item) in value.as_object().into_iter().flatten() {
                    let place = format!("{path}/{name}");
                    match (keyword.as_str(), known(name)) {
                        ("properties", Some(schema)) => inner.push((schema, item, place)),
                        ("additionalProperties", None) if rule.is_object() => {
                            inner.push((rule, item, place));
                        }
                        ("additionalProperties", None) => {
                            assert_eq!(rule, &Value::Bool(false));
                            inner.push((&Value::Null, item, place));
                        }
                        _ => {}
                    }
                }
            }
            other => panic!("the keyword {other}"),
        }
    }
    for (schema, item, place) in inner {
        if schema.is_null() {
            found.push(format!("{place}: unknown"));
        } else {
            validate(schema, item, &place, found);
        }
    }
}

/// The few patterns of the schema, by hand.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let has_digits = number.len() < text.len();
    let units: &[&str] = match pattern.strip_suffix("|\\$\\{") {
        _ if text.contains("${") => return true,
        Some("^[0-9]+(ms|s|m|h|d)$") => &["ms", "s", "m", "h", "d"],
        Some("^[0-9]+(B|KiB|MiB|GiB)$") => &["B", "KiB", "MiB", "GiB"],
        Some("^[0-9]+/[smh]$") => &["/s", "/m", "/h"],
        _ if pattern == "\\$\\{" => return false,
        other => panic!("the pattern {other:?}"),
    };
    has_digits && units.contains(&number)
}
