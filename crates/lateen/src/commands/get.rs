//! `lateen get`: the objects that the mesh holds.

use clap::Args;

use super::output;
use crate::client::Client;
use crate::failure::Outcome;
use crate::protocol::ObjectView;

/// Shows the objects of a kind.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lateen get virtualservices\n  lateen get vs reviews -o yaml\n  lateen get pods -A"
)]
pub struct Get {
    /// Kind: `virtualservice`, `vs`, `pods`, …
    kind: String,
    /// One object's name.
    name: Option<String>,
    /// Namespace to look in.
    #[arg(short, long, default_value = "default", conflicts_with = "all_namespaces")]
    namespace: String,
    /// Every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value = "table")]
    output: output::Format,
}

/// Runs `lateen get`.
pub fn run(arguments: &Get, client: &Client) -> Outcome {
    let kind = super::kind(&arguments.kind)?;
    let mut path = format!("/v1/objects?kind={}", kind.as_str());
    if kind.namespaced() && !arguments.all_namespaces {
        path.push_str(&format!("&namespace={}", arguments.namespace));
    }
    if let Some(name) = &arguments.name {
        path.push_str(&format!("&name={name}"));
    }
    let objects: Vec<ObjectView> = client.get(&path)?;
    if let (Some(name), true) = (&arguments.name, objects.is_empty()) {
        return Err(
            anyhow::anyhow!("no {} `{name}` in namespace `{}`", kind.as_str(), arguments.namespace).into()
        );
    }
    print(&objects, arguments)
}

fn print(objects: &[ObjectView], arguments: &Get) -> Outcome {
    match arguments.output {
        output::Format::Json => match (objects, &arguments.name) {
            ([one], Some(_)) => output::json(&one.object)?,
            _ => output::json(&serde_json::json!({
                "apiVersion": "v1",
                "kind": "List",
                "items": objects.iter().map(|object| &object.object).collect::<Vec<_>>(),
            }))?,
        },
        output::Format::Yaml => {
            for (index, object) in objects.iter().enumerate() {
                if index > 0 {
                    anstream::println!("---");
                }
                output::yaml(&object.object)?;
            }
        }
        output::Format::Name => {
            for object in objects {
                anstream::println!("{}/{}", object.kind.to_lowercase(), object.name);
            }
        }
        output::Format::Table | output::Format::Wide => table(objects, arguments),
    }
    Ok(())
}

fn table(objects: &[ObjectView], arguments: &Get) {
    if objects.is_empty() {
        anstream::eprintln!("none found in {}", where_looked(arguments));
        return;
    }
    let is_wide = arguments.output == output::Format::Wide;
    let mut header = vec!["NAMESPACE", "NAME", "SUMMARY"];
    if is_wide {
        header.push("SOURCE");
    }
    let mut table = output::table(&header);
    for object in objects {
        let mut row = vec![object.namespace.clone(), object.name.clone(), summary(object)];
        if is_wide {
            row.push(object.source.clone());
        }
        table.add_row(row);
    }
    output::print(&table);
}

fn where_looked(arguments: &Get) -> String {
    match arguments.all_namespaces {
        true => "any namespace".to_owned(),
        false => format!("namespace `{}`", arguments.namespace),
    }
}

/// What tells one object of a kind from another, in a few words.
fn summary(object: &ObjectView) -> String {
    let spec = &object.object["spec"];
    let list = |value: &serde_json::Value| {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str()).collect::<Vec<_>>().join(",")
    };
    match object.kind.as_str() {
        "VirtualService" => {
            format!("hosts {}  gateways {}", list(&spec["hosts"]), or_mesh(&list(&spec["gateways"])))
        }
        "DestinationRule" => {
            let subsets = spec["subsets"].as_array().into_iter().flatten();
            let names: Vec<&str> = subsets.filter_map(|subset| subset["name"].as_str()).collect();
            format!("host {}  subsets {}", spec["host"].as_str().unwrap_or(""), names.join(","))
        }
        "ServiceEntry" => {
            format!("hosts {}  {}", list(&spec["hosts"]), spec["resolution"].as_str().unwrap_or("NONE"))
        }
        "Gateway" => {
            let servers = spec["servers"].as_array().into_iter().flatten();
            let ports: Vec<String> = servers
                .map(|server| {
                    format!(
                        "{}/{}",
                        server["port"]["number"],
                        server["port"]["protocol"].as_str().unwrap_or("")
                    )
                })
                .collect();
            format!("ports {}", ports.join(","))
        }
        "Service" => {
            let ports = spec["ports"].as_array().into_iter().flatten();
            let ports: Vec<String> = ports.map(|port| port["port"].to_string()).collect();
            format!("{}  ports {}", spec["clusterIP"].as_str().unwrap_or(""), ports.join(","))
        }
        "Pod" => {
            let status = &object.object["status"];
            format!("{}  {}", status["phase"].as_str().unwrap_or(""), status["podIP"].as_str().unwrap_or(""))
        }
        _ => String::new(),
    }
}

fn or_mesh(gateways: &str) -> &str {
    if gateways.is_empty() { "mesh" } else { gateways }
}
