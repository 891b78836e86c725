//! The file that LiteLLM reads. It is YAML to LiteLLM, and every JSON is YAML, so no second format is written here.
//! <https://docs.litellm.ai/docs/proxy/config_settings>

use super::models::{Model, Provider};
use serde_json::{Value as Json, json};

/// What the file says.
#[derive(Clone, Debug)]
pub struct Config {
    /// The models.
    pub models: Vec<Model>,
    /// The project that models of Vertex are asked for, and where its credentials are.
    pub vertex: Option<Vertex>,
    /// The cache is several shards: a client that does not know asks the wrong one.
    pub cluster_mode: bool,
    /// Modules beside the file and what in them is called with each request, like `strip_header_middleware.strip_header_callback`.
    pub callbacks: Vec<String>,
    /// Keeps what people ask in the database, and logs it.
    pub log_prompts: bool,
    /// Connections to the database of each pod.
    pub database_connections: u16,
}

/// Who asks Vertex.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// The project.
    pub project: String,
    /// The file with the key of a service account.
    pub credentials: String,
}

impl Config {
    /// The models, with nothing about people kept.
    pub fn new(models: Vec<Model>) -> Self {
        Config {
            models,
            vertex: None,
            cluster_mode: false,
            callbacks: vec![],
            log_prompts: false,
            database_connections: 10,
        }
    }

    /// The file. Host, port and password of the cache stand in the environment.
    pub fn render(&self) -> String {
        format!("{:#}\n", self.json())
    }

    fn json(&self) -> Json {
        let mut settings = json!({
            "num_retries": 2,
            "request_timeout": 45,
            "allowed_fails": 3,
            "cooldown_time": 30,
            "set_verbose": self.log_prompts,
            "json_logs": false,
            "cache": true,
        });
        let mut router = json!({
            "routing_strategy": "usage-based-routing-v2",
            "num_retries": 2,
            "timeout": 30,
            "redis_host": "os.environ/REDIS_HOST",
            "redis_password": "os.environ/REDIS_PASSWORD",
            "redis_port": "os.environ/REDIS_PORT",
        });
        if !self.callbacks.is_empty() {
            settings["callbacks"] = json!(self.callbacks);
        }
        if self.cluster_mode {
            let nodes = json!([{ "host": "os.environ/REDIS_HOST", "port": "os.environ/REDIS_PORT" }]);
            settings["cache_params"] = json!({ "type": "redis", "redis_startup_nodes": nodes });
            router["cache_kwargs"] = json!({ "startup_nodes": nodes });
        }
        json!({
            "model_list": self.models.iter().map(|model| self.deployment(model)).collect::<Vec<_>>(),
            "litellm_settings": settings,
            "general_settings": {
                "store_model_in_db": true,
                "store_prompts_in_spend_logs": self.log_prompts,
                "proxy_batch_write_at": 60,
                "database_connection_pool_limit": self.database_connections,
                "disable_error_logs": true,
                "allow_requests_on_db_unavailable": true,
            },
            "router_settings": router,
        })
    }

    fn deployment(&self, model: &Model) -> Json {
        let id = model.id();
        let mut params = json!({ "model": id, "rpm": model.limits.rpm, "tpm": model.limits.tpm });
        match (model.provider, &self.vertex) {
            (Provider::Bedrock, _) => params["aws_region_name"] = json!(model.region),
            (Provider::Vertex, vertex) => {
                params["vertex_location"] = json!(model.region);
                if let Some(vertex) = vertex {
                    params["vertex_project"] = json!(vertex.project);
                    params["vertex_credentials"] = json!(vertex.credentials);
                }
            }
        }
        let mut deployment = json!({ "model_name": model.name, "litellm_params": params });
        if model.is_known {
            deployment["model_info"] = json!({ "base_model": id });
        }
        deployment
    }
}
