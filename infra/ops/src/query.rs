//! CloudFormation and CloudWatch: a signed form out, XML back.

use bridge::adapters::aws::{Answer, Aws, CallError, Client, Refused, Service};
use bridge::adapters::environment::ConfigError;

/// CloudFormation, and the version of its API.
const CLOUDFORMATION: (Service, &str) = (
    Service {
        name: "cloudformation",
        endpoint_variable: "AWS_ENDPOINT_URL_CLOUDFORMATION",
        content_type: "application/x-www-form-urlencoded",
        target: None,
    },
    "2010-05-15",
);

/// CloudWatch, and the version of its API.
const CLOUDWATCH: (Service, &str) = (
    Service {
        name: "monitoring",
        endpoint_variable: "AWS_ENDPOINT_URL_CLOUDWATCH",
        content_type: "application/x-www-form-urlencoded",
        target: None,
    },
    "2010-08-01",
);

/// What a service has answered.
#[derive(Debug)]
pub struct Reply {
    /// The XML.
    pub xml: String,
    /// The server's `Date`, as it was sent.
    pub date: Option<String>,
}

/// A client of a service with AWS's query protocol.
#[derive(Debug)]
pub struct Query {
    client: Client,
    version: &'static str,
}

impl Query {
    /// A client of CloudFormation.
    ///
    /// # Errors
    /// When the environment holds no address where it should.
    pub fn cloudformation(aws: &Aws) -> Result<Self, ConfigError> {
        Self::of(aws, &CLOUDFORMATION)
    }

    /// A client of CloudWatch.
    ///
    /// # Errors
    /// When the environment holds no address where it should.
    pub fn cloudwatch(aws: &Aws) -> Result<Self, ConfigError> {
        Self::of(aws, &CLOUDWATCH)
    }

    fn of(
        aws: &Aws,
        (service, version): &'static (Service, &'static str),
    ) -> Result<Self, ConfigError> {
        let client = aws.client(service)?;
        Ok(Self { client, version })
    }

    /// Calls one operation; tried again while AWS throttles or does not answer.
    ///
    /// # Errors
    /// With AWS's code, when it refuses.
    pub async fn call(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Reply, CallError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", self.version)
            .extend_pairs(parameters)
            .finish();
        self.client.send(action, body.into_bytes(), reply).await
    }
}

fn reply(answer: Answer) -> Result<Reply, CallError> {
    let xml = String::from_utf8(answer.body).map_err(|_| CallError::Unreadable)?;
    if answer.status == 200 {
        let date = answer.date;
        return Ok(Reply { xml, date });
    }
    let code = text_of(&xml, "Code").unwrap_or_else(|| format!("HTTP {}", answer.status));
    Err(CallError::Refused(Refused {
        status: answer.status,
        code,
        body: xml.into_bytes(),
    }))
}

/// What a service said when it refused.
pub fn words(error: &CallError) -> Option<String> {
    let CallError::Refused(refused) = error else {
        return None;
    };
    text_of(&String::from_utf8_lossy(&refused.body), "Message")
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
pub fn members(xml: &str, list: &str) -> Result<Vec<Vec<(String, String)>>, CallError> {
    let document = roxmltree::Document::parse(xml).map_err(|_| CallError::Unreadable)?;
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
    fn a_refusal_has_its_code_and_its_words() {
        let answer = |status, body: &str| Answer {
            status,
            body: body.into(),
            ..Answer::default()
        };
        let xml = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        let error = reply(answer(400, xml)).unwrap_err();
        assert_eq!(error.to_string(), "Throttling");
        assert_eq!(words(&error).unwrap(), "Rate exceeded");
        let error = reply(answer(502, "hello")).unwrap_err();
        assert_eq!(error.to_string(), "HTTP 502");
        assert!(members("hello", "Outputs").is_err());
    }
}
