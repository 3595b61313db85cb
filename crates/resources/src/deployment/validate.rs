//! Rules for a Deployment.

use super::DeploymentSpec;
use crate::metadata::LabelSelector;
use crate::path::Trail;
use crate::pod;
use crate::problem::Code;
use crate::validate::Checker;

/// Checks a Deployment.
pub(crate) fn validate(content: &DeploymentSpec, at: &Trail<'_>, check: &mut Checker<'_>) {
    let labels = &content.template.metadata.labels;
    let template_at = at.key("template");
    let selector_at = at.key("selector");
    check.labels(&template_at.key("metadata").key("labels"), labels);
    if content.selector == LabelSelector::default() {
        let found = check.required(&selector_at);
        if let Some((key, value)) = labels.iter().next() {
            found.help(format!("write `selector: {{matchLabels: {{{key}: {value}}}}}`"));
        }
    } else if !content.selector.matches(labels) {
        let message = "the selector does not select the pods of this Deployment";
        check
            .note(&selector_at, Code::SelectorMismatch, message)
            .help("the labels in `template.metadata.labels` must include those of the selector");
    }
    pod::validate::validate(&content.template.spec, &template_at.key("spec"), check);
}
