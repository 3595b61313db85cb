//! The containers and volumes that a pod is given.

mod environment;
mod init;
mod volumes;

use capture::arguments::ArgumentError;
use serde_json::{Value, json};

use crate::annotations::{AnnotationError, Annotations};
use crate::settings::Settings;
use crate::workload::Workload;

pub(crate) use environment::proxy_config;
use init::container as init_container;

/// The proxy's container.
pub(crate) const PROXY: &str = "istio-proxy";

/// The container that writes the capture rules.
pub(crate) const INIT: &str = "istio-init";

/// Port of readiness.
const READY_PORT: u16 = 15021;

/// What a proxy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Beside an application.
    Sidecar,
    /// A gateway.
    Gateway,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Role::Sidecar => "sidecar",
            Role::Gateway => "router",
        }
    }
}

/// What the templates are filled with.
pub(crate) struct Template<'a> {
    /// The pod as the user wrote it.
    pub(crate) pod: &'a Value,
    /// Its annotations.
    pub(crate) annotations: Annotations,
    /// Everything else.
    pub(crate) settings: &'a Settings,
    /// What the proxy is for.
    pub(crate) role: Role,
    /// What the pod belongs to.
    pub(crate) workload: Workload,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Whether the proxy is an init container that goes on.
    pub(crate) is_native: bool,
    /// Whether the application waits for the proxy.
    pub(crate) holds_application: bool,
}

/// Why a template cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An annotation cannot be understood.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// The settings of the mesh cannot be understood.
    #[error("the mesh's settings: {0}")]
    Settings(ArgumentError),
}

impl From<ArgumentError> for TemplateError {
    fn from(error: ArgumentError) -> Self {
        match error {
            ArgumentError::InvalidValue { flag: name, value, expected } => {
                TemplateError::Annotation(AnnotationError { name, value, expected: expected.to_owned() })
            }
            other => TemplateError::Settings(other),
        }
    }
}

/// What a pod is given.
pub(crate) struct Parts {
    /// The proxy.
    pub(crate) proxy: Value,
    /// The capture rules; a gateway has none.
    pub(crate) init: Option<Value>,
    /// Volumes.
    pub(crate) volumes: Vec<Value>,
}

impl Template<'_> {
    /// Fills the templates.
    pub(crate) fn fill(&self) -> Result<Parts, TemplateError> {
        let init = match self.role {
            Role::Sidecar => Some(init_container(self)?),
            Role::Gateway => None,
        };
        Ok(Parts { proxy: self.proxy()?, init, volumes: volumes::volumes(self)? })
    }

    fn image(&self) -> String {
        self.annotations.text("sidecar.istio.io/proxyImage").unwrap_or(&self.settings.proxy_image).to_owned()
    }

    fn proxy(&self) -> Result<Value, TemplateError> {
        let mut proxy = json!({
            "name": PROXY,
            "image": self.image(),
            "args": self.arguments(),
            "ports": [{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}],
            "env": environment::variables(self)?,
            "resources": self.resources()?,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "privileged": false,
                "readOnlyRootFilesystem": true,
                "runAsGroup": capture::PROXY_ID,
                "runAsNonRoot": true,
                "runAsUser": capture::PROXY_ID,
            },
            "volumeMounts": volumes::mounts(self)?,
        });
        self.add_probes(&mut proxy)?;
        if self.is_native {
            proxy["restartPolicy"] = json!("Always");
        }
        self.add_hooks(&mut proxy);
        Ok(proxy)
    }

    fn arguments(&self) -> Vec<String> {
        let level = |name: &str, otherwise: &str| self.annotations.text(name).unwrap_or(otherwise).to_owned();
        vec![
            "proxy".to_owned(),
            self.role.word().to_owned(),
            "--domain".to_owned(),
            format!("$(POD_NAMESPACE).svc.{}", self.settings.cluster_domain),
            format!("--proxyLogLevel={}", level("sidecar.istio.io/logLevel", "warning")),
            format!("--proxyComponentLogLevel={}", level("sidecar.istio.io/componentLogLevel", "misc:error")),
            format!("--log_output_level={}", level("sidecar.istio.io/agentLogLevel", "default:info")),
        ]
    }

    /// What the proxy may use; an annotation for one of the two sides leaves the other to itself.
    fn resources(&self) -> Result<Value, TemplateError> {
        let text = |name: &str| self.annotations.text(&format!("sidecar.istio.io/{name}"));
        let own = ["proxyCPU", "proxyMemory", "proxyCPULimit", "proxyMemoryLimit"].map(text);
        if own.iter().all(Option::is_none) {
            return Ok(json!({
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"cpu": "2000m", "memory": "1024Mi"},
            }));
        }
        let side = |cpu: Option<&str>, memory: Option<&str>| {
            let mut side = json!({});
            for (name, value) in [("cpu", cpu), ("memory", memory)] {
                if let Some(value) = value {
                    side[name] = json!(value);
                }
            }
            side
        };
        let [cpu, memory, cpu_limit, memory_limit] = own;
        Ok(json!({"requests": side(cpu, memory), "limits": side(cpu_limit, memory_limit)}))
    }

    fn add_probes(&self, proxy: &mut Value) -> Result<(), TemplateError> {
        let number = |name: &str, otherwise: u32| {
            let name = format!("readiness.status.sidecar.istio.io/{name}");
            Ok::<_, AnnotationError>(
                self.annotations.parsed(&name, "a number of seconds")?.unwrap_or(otherwise),
            )
        };
        if self.annotations.parsed::<u16>("status.sidecar.istio.io/port", "a port")? == Some(0) {
            return Ok(());
        }
        let ask = json!({"path": "/healthz/ready", "port": READY_PORT});
        proxy["readinessProbe"] = json!({
            "httpGet": ask,
            "initialDelaySeconds": number("initialDelaySeconds", 0)?,
            "periodSeconds": number("periodSeconds", 15)?,
            "timeoutSeconds": 3,
            "failureThreshold": number("failureThreshold", 4)?,
        });
        proxy["startupProbe"] =
            json!({"httpGet": ask, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 600});
        Ok(())
    }

    /// An application that waits, and an end that lets requests finish, are hooks that call the agent.
    fn add_hooks(&self, proxy: &mut Value) {
        let Some(agent) = &self.settings.agent_program else { return };
        if self.holds_application && !self.is_native {
            proxy["lifecycle"]["postStart"] = json!({"exec": {"command": [agent, "wait"]}});
        }
        if self.is_native && self.role == Role::Sidecar {
            let port = format!("--debug-port={}", self.settings.status_port);
            proxy["lifecycle"]["preStop"] =
                json!({"exec": {"command": [agent, "request", port, "POST", "drain"]}});
        }
    }
}
