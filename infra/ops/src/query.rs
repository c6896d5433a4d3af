//! CloudFormation and CloudWatch: a signed form out, XML back.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bridge::adapters::outside::client_builder;

use crate::access::Access;
use crate::failure::Failure;

/// One try of a call.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Tries of a call that is throttled or does not get through.
const TRIES: u32 = 4;

/// The wait before the second try; each later one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(300);

/// A service with AWS's query protocol.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    name: &'static str,
    host: &'static str,
    version: &'static str,
}

/// CloudFormation.
pub const CLOUDFORMATION: Service = Service {
    name: "cloudformation",
    host: "cloudformation",
    version: "2010-05-15",
};

/// CloudWatch.
pub const CLOUDWATCH: Service = Service {
    name: "monitoring",
    host: "monitoring",
    version: "2010-08-01",
};

/// Why there is no answer: AWS's code and its words.
#[derive(Debug)]
pub struct Refused {
    /// AWS's code, or what kind of failure it was.
    pub code: String,
    /// Its words.
    pub message: String,
}

/// What a service has answered.
#[derive(Debug)]
pub struct Answer {
    /// The XML.
    pub xml: String,
    /// The server's `Date`, as it was sent.
    pub date: Option<String>,
}

/// A client of both services.
#[derive(Debug)]
pub struct Query {
    access: Access,
    identity: Identity,
    http: reqwest::Client,
}

impl Query {
    /// A client with this access.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(access: &Access) -> Result<Self, Failure> {
        let no_client = |why: String| Failure::OutOfReach(format!("no HTTP client: {why}"));
        let http = client_builder()
            .map_err(|error| no_client(error.to_string()))?
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| no_client(error.without_url().to_string()))?;
        Ok(Self {
            access: access.clone(),
            identity: access.credentials.clone().into(),
            http,
        })
    }

    /// Calls one operation; tried again while AWS throttles or does not answer.
    ///
    /// # Errors
    /// With AWS's code, when it refuses.
    pub async fn call(
        &self,
        service: Service,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, Refused> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", service.version)
            .extend_pairs(parameters)
            .finish();
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match self.try_to_call(service, &body).await {
                Err(refused) if is_passing(&refused) => tokio::time::sleep(wait).await,
                result => return result,
            }
            wait = wait.saturating_mul(2);
        }
        self.try_to_call(service, &body).await
    }

    async fn try_to_call(&self, service: Service, body: &str) -> Result<Answer, Refused> {
        let url = self.url(service);
        let unsent = |message: String| Refused {
            code: "a request that could not be built".to_owned(),
            message,
        };
        let no_answer = |error: &reqwest::Error| Refused {
            code: if error.is_timeout() {
                "no answer in time"
            } else {
                "no connection"
            }
            .to_owned(),
            message: String::new(),
        };
        let mut request = self
            .http
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.to_owned());
        for (name, value) in self.signature(service, &url, body).map_err(unsent)? {
            request = request.header(name, value);
        }
        let answer = request.send().await.map_err(|error| no_answer(&error))?;
        let status = answer.status();
        let date = answer
            .headers()
            .get("date")
            .and_then(|date| date.to_str().ok());
        let date = date.map(str::to_owned);
        let xml = answer.text().await.map_err(|error| no_answer(&error))?;
        if status.is_success() {
            return Ok(Answer { xml, date });
        }
        let text = |name: &str| text_of(&xml, name);
        Err(Refused {
            code: text("Code").unwrap_or_else(|| format!("HTTP {}", status.as_u16())),
            message: text("Message").unwrap_or_default(),
        })
    }

    fn url(&self, service: Service) -> String {
        let region = &self.access.region;
        match &self.access.endpoint_url {
            Some(url) => format!("{}/", url.trim_end_matches('/')),
            None if region.starts_with("cn-") => {
                format!("https://{}.{region}.amazonaws.com.cn/", service.host)
            }
            None => format!("https://{}.{region}.amazonaws.com/", service.host),
        }
    }

    fn signature(
        &self,
        service: Service,
        url: &str,
        body: &str,
    ) -> Result<Vec<(&'static str, String)>, String> {
        let parameters = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.access.region)
            .name(service.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let content_type = ("content-type", "application/x-www-form-urlencoded");
        let body = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new("POST", url, [content_type].into_iter(), body)
            .map_err(|error| error.to_string())?;
        let (instructions, _) = sign(request, &parameters)
            .map_err(|error| error.to_string())?
            .into_parts();
        Ok(instructions
            .into_parts()
            .0
            .into_iter()
            .map(|header| (header.name(), header.value().to_owned()))
            .collect())
    }
}

fn is_passing(refused: &Refused) -> bool {
    let code = refused.code.as_str();
    code.contains("Throttl")
        || code.starts_with("HTTP 5")
        || matches!(
            code,
            "RequestLimitExceeded" | "ServiceUnavailable" | "InternalFailure" | "no connection"
        )
}

/// The text of the first element of this name.
pub fn text_of(xml: &str, name: &str) -> Option<String> {
    let document = roxmltree::Document::parse(xml).ok()?;
    let found = document
        .descendants()
        .find(|node| node.tag_name().name() == name)?;
    found.text().map(str::to_owned)
}

/// The members of the lists of this name, each as its fields of text.
///
/// # Errors
/// When the answer is no XML.
pub fn members(xml: &str, list: &str) -> Result<Vec<Vec<(String, String)>>, Refused> {
    let document = roxmltree::Document::parse(xml).map_err(|error| Refused {
        code: "an unreadable answer".to_owned(),
        message: error.to_string(),
    })?;
    let lists = document
        .descendants()
        .filter(|node| node.tag_name().name() == list);
    let members = lists.flat_map(|node| node.children().filter(roxmltree::Node::is_element));
    Ok(members
        .map(|member| {
            let fields = member.children().filter(roxmltree::Node::is_element);
            fields
                .map(|field| {
                    let text = field.text().unwrap_or_default().to_owned();
                    (field.tag_name().name().to_owned(), text)
                })
                .collect()
        })
        .collect())
}

/// A field of a member; empty if it has none.
pub fn field<'a>(member: &'a [(String, String)], name: &str) -> &'a str {
    let found = member.iter().find(|(field, _)| field == name);
    found.map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_list_are_read_and_nothing_of_other_lists() {
        let xml = "<R xmlns='x'><Outputs><member><OutputKey>Url</OutputKey><OutputValue>http://a/?b&amp;c=\
                   </OutputValue></member></Outputs><Tags><member><Key>k</Key></member></Tags></R>";
        let outputs = members(xml, "Outputs").unwrap();
        assert_eq!(outputs.len(), 1);
        assert_eq!(field(&outputs[0], "OutputValue"), "http://a/?b&c=");
        assert_eq!(field(&outputs[0], "Description"), "");
    }

    #[test]
    fn a_refusal_has_its_code() {
        let xml = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        assert_eq!(text_of(xml, "Code").unwrap(), "Throttling");
        assert!(members("hello", "Outputs").is_err());
    }
}
