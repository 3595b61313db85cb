//! The environment of a container, and `$(NAME)` in its command.

use std::collections::BTreeMap;

use resources::pod::{Container, EnvVar, KeySelector};

use super::context::{Context, Reason};

/// The variables of a container, in the order in which they are set.
///
/// `first` comes before everything that the pod says: what the image sets, and what every container has.
pub(crate) fn variables(
    context: &Context<'_>,
    container: &Container,
    first: &[(String, String)],
) -> Result<Vec<(String, String)>, Reason> {
    let mut known: BTreeMap<String, String> = first.iter().cloned().collect();
    let mut order: Vec<String> = first.iter().map(|(name, _)| name.clone()).collect();
    let mut set = |known: &mut BTreeMap<String, String>, name: String, value: String| {
        if known.insert(name.clone(), value).is_none() {
            order.push(name);
        }
    };
    for source in &container.env_from {
        if let Some(reference) = &source.config_map_ref {
            let optional = reference.optional.unwrap_or(false);
            if let Some(config_map) = context.config_map(&reference.name, optional)? {
                for (key, value) in &config_map.data {
                    set(&mut known, format!("{}{key}", source.prefix), value.clone());
                }
            }
        }
        if let Some(reference) = &source.secret_ref {
            let optional = reference.optional.unwrap_or(false);
            for (key, value) in context.secret_values(&reference.name, optional)? {
                set(&mut known, format!("{}{key}", source.prefix), value);
            }
        }
    }
    for variable in &container.env {
        if let Some(value) = value(context, container, variable, &known)? {
            set(&mut known, variable.name.clone(), value);
        }
    }
    Ok(order.into_iter().map(|name| (name.clone(), known.remove(&name).unwrap_or_default())).collect())
}

fn value(
    context: &Context<'_>,
    container: &Container,
    variable: &EnvVar,
    known: &BTreeMap<String, String>,
) -> Result<Option<String>, Reason> {
    let Some(source) = &variable.value_from else { return Ok(Some(expand(&variable.value, known))) };
    if let Some(reference) = &source.field_ref {
        return context.field(&reference.field_path).map(Some);
    }
    if let Some(reference) = &source.resource_field_ref {
        return context.resource(reference, container).map(Some);
    }
    if let Some(reference) = &source.config_map_key_ref {
        return config_map_value(context, reference);
    }
    if let Some(reference) = &source.secret_key_ref {
        return secret_value(context, reference);
    }
    Err(Reason::config(format!("variable `{}` has no source that is known here", variable.name)))
}

fn config_map_value(context: &Context<'_>, reference: &KeySelector) -> Result<Option<String>, Reason> {
    let optional = reference.optional.unwrap_or(false);
    let Some(config_map) = context.config_map(&reference.name, optional)? else { return Ok(None) };
    match config_map.data.get(&reference.key) {
        Some(value) => Ok(Some(value.clone())),
        None if optional => Ok(None),
        None => Err(Reason::config(format!("ConfigMap `{}` has no key `{}`", reference.name, reference.key))),
    }
}

fn secret_value(context: &Context<'_>, reference: &KeySelector) -> Result<Option<String>, Reason> {
    let optional = reference.optional.unwrap_or(false);
    match context.secret(&reference.name, optional)?.map(|secret| secret.get(&reference.key)) {
        Some(Some(bytes)) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        None => Ok(None),
        Some(None) if optional => Ok(None),
        Some(None) => {
            Err(Reason::config(format!("Secret `{}` has no key `{}`", reference.name, reference.key)))
        }
    }
}

/// Puts values in place of `$(NAME)`; `$$(NAME)` stands for `$(NAME)`, and an unknown name stays as it is.
pub(crate) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            result.push('$');
            rest = after;
            continue;
        }
        let reference = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        match reference {
            Some((name, after)) => {
                match known.get(name) {
                    Some(value) => result.push_str(value),
                    None => {
                        result.push_str("$(");
                        result.push_str(name);
                        result.push(')');
                    }
                }
                rest = after;
            }
            None => {
                result.push('$');
                rest = &rest[1..];
            }
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests;
