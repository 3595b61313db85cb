//! Descriptors of the handwritten messages, so that [`crate::json`] shows them
//! like any other. A test holds them against the messages.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MessageOptions,
};

const STRUCT: &str = ".google.protobuf.Struct";
const DURATION: &str = ".google.protobuf.Duration";

/// One file per protobuf package.
pub(crate) fn files() -> Vec<FileDescriptorProto> {
    vec![
        file(
            "udpa.type.v1",
            vec![message(
                "TypedStruct",
                vec![one("type_url", 1, Type::String), sub("value", 2, Label::Optional, STRUCT)],
            )],
            vec![],
        ),
        stats(),
        alpn(),
        name_table(),
        file(
            "istio.v1.auth",
            vec![
                message(
                    "IstioCertificateRequest",
                    vec![
                        one("csr", 1, Type::String),
                        one("validity_duration", 3, Type::Int64),
                        sub("metadata", 4, Label::Optional, STRUCT),
                    ],
                ),
                message("IstioCertificateResponse", vec![many("cert_chain", 1, Type::String)]),
            ],
            vec![],
        ),
    ]
}

fn stats() -> FileDescriptorProto {
    let mut metric_config = message(
        "MetricConfig",
        vec![
            sub("dimensions", 1, Label::Repeated, ".stats.MetricConfig.DimensionsEntry"),
            one("name", 2, Type::String),
            many("tags_to_remove", 3, Type::String),
            one("match", 4, Type::String),
            one("drop", 5, Type::Bool),
        ],
    );
    metric_config.nested_type = vec![map_entry("DimensionsEntry", one("value", 2, Type::String))];
    file(
        "stats",
        vec![
            message(
                "PluginConfig",
                vec![
                    one("disable_host_header_fallback", 6, Type::Bool),
                    sub("tcp_reporting_duration", 7, Label::Optional, DURATION),
                    sub("metrics", 8, Label::Repeated, ".stats.MetricConfig"),
                    sub("definitions", 9, Label::Repeated, ".stats.MetricDefinition"),
                    choice("reporter", 10, ".stats.Reporter"),
                    sub("rotation_interval", 11, Label::Optional, DURATION),
                    sub("graceful_deletion_interval", 12, Label::Optional, DURATION),
                ],
            ),
            metric_config,
            message(
                "MetricDefinition",
                vec![
                    one("name", 1, Type::String),
                    one("value", 2, Type::String),
                    choice("type", 3, ".stats.MetricType"),
                ],
            ),
        ],
        vec![
            values("MetricType", &["COUNTER", "GAUGE", "HISTOGRAM"]),
            values("Reporter", &["UNSPECIFIED", "SERVER_GATEWAY"]),
        ],
    )
}

fn alpn() -> FileDescriptorProto {
    const PACKAGE: &str = "istio.envoy.config.filter.http.alpn.v2alpha1";
    let mut config = message(
        "FilterConfig",
        vec![sub("alpn_override", 1, Label::Repeated, &format!(".{PACKAGE}.FilterConfig.AlpnOverride"))],
    );
    config.enum_type = vec![values("Protocol", &["HTTP10", "HTTP11", "HTTP2"])];
    config.nested_type = vec![message(
        "AlpnOverride",
        vec![
            choice("upstream_protocol", 1, &format!(".{PACKAGE}.FilterConfig.Protocol")),
            many("alpn_override", 2, Type::String),
        ],
    )];
    file(PACKAGE, vec![config], vec![])
}

fn name_table() -> FileDescriptorProto {
    const PACKAGE: &str = "istio.networking.nds.v1";
    let info = format!(".{PACKAGE}.NameTable.NameInfo");
    let mut table = message(
        "NameTable",
        vec![sub("table", 1, Label::Repeated, &format!(".{PACKAGE}.NameTable.TableEntry"))],
    );
    table.nested_type = vec![
        map_entry("TableEntry", sub("value", 2, Label::Optional, &info)),
        message(
            "NameInfo",
            vec![
                many("ips", 1, Type::String),
                one("registry", 2, Type::String),
                one("shortname", 3, Type::String),
                one("namespace", 4, Type::String),
                many("alt_hosts", 5, Type::String),
            ],
        ),
    ];
    file(PACKAGE, vec![table], vec![])
}

fn file(
    package: &str,
    messages: Vec<DescriptorProto>,
    enums: Vec<EnumDescriptorProto>,
) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(format!("lateen/{package}.proto")),
        package: Some(package.to_owned()),
        dependency: vec![
            "google/protobuf/struct.proto".to_owned(),
            "google/protobuf/duration.proto".to_owned(),
        ],
        message_type: messages,
        enum_type: enums,
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
}

fn message(name: &str, fields: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto { name: Some(name.to_owned()), field: fields, ..DescriptorProto::default() }
}

fn map_entry(name: &str, value: FieldDescriptorProto) -> DescriptorProto {
    let mut entry = message(name, vec![one("key", 1, Type::String), value]);
    entry.options = Some(MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
    entry
}

fn field(name: &str, number: i32, label: Label, kind: Type) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(label.into()),
        r#type: Some(kind.into()),
        ..FieldDescriptorProto::default()
    }
}

fn one(name: &str, number: i32, kind: Type) -> FieldDescriptorProto {
    field(name, number, Label::Optional, kind)
}

fn many(name: &str, number: i32, kind: Type) -> FieldDescriptorProto {
    field(name, number, Label::Repeated, kind)
}

fn sub(name: &str, number: i32, label: Label, type_name: &str) -> FieldDescriptorProto {
    let type_name = Some(type_name.to_owned());
    FieldDescriptorProto { type_name, ..field(name, number, label, Type::Message) }
}

fn choice(name: &str, number: i32, type_name: &str) -> FieldDescriptorProto {
    let type_name = Some(type_name.to_owned());
    FieldDescriptorProto { type_name, ..field(name, number, Label::Optional, Type::Enum) }
}

fn values(name: &str, names: &[&str]) -> EnumDescriptorProto {
    let value = (0..).zip(names).map(|(number, name)| EnumValueDescriptorProto {
        name: Some((*name).to_owned()),
        number: Some(number),
        ..EnumValueDescriptorProto::default()
    });
    EnumDescriptorProto { name: Some(name.to_owned()), value: value.collect(), ..Default::default() }
}
