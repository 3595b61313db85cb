//! JSON to YAML.

/// Writes a JSON value as YAML that reads back as the same value.
pub fn to_yaml(value: &serde_json::Value) -> String {
    value.to_string()
}
