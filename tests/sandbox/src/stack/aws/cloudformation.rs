//! CloudFormation, which takes a form and answers with XML.

use anyhow::Context as _;

use super::EmulatorClient;

/// CloudFormation's name and version.
const CLOUDFORMATION: (&str, &str) = ("cloudformation", "2010-05-15");

impl EmulatorClient {
    /// A stack's outputs, names and values.
    ///
    /// # Errors
    /// When there is no such stack.
    pub async fn stack_outputs(&self, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let parameters = [("StackName", name)];
        let answer = self
            .query(
                CLOUDFORMATION.0,
                CLOUDFORMATION.1,
                "DescribeStacks",
                &parameters,
            )
            .await?;
        Ok(outputs(&answer))
    }

    /// The physical name of a stack's resource.
    ///
    /// # Errors
    /// When there is no such stack or resource.
    pub async fn stack_resource(&self, stack: &str, resource: &str) -> anyhow::Result<String> {
        let parameters = [("StackName", stack), ("LogicalResourceId", resource)];
        let action = "DescribeStackResource";
        let answer = self
            .query(CLOUDFORMATION.0, CLOUDFORMATION.1, action, &parameters)
            .await?;
        between(&answer, "PhysicalResourceId")
            .with_context(|| format!("the stack has no resource {resource}"))
    }

    /// Begins to delete a stack, except the resources that the template retains.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn delete_stack(&self, stack: &str) -> anyhow::Result<()> {
        let parameters = [("StackName", stack)];
        self.query(
            CLOUDFORMATION.0,
            CLOUDFORMATION.1,
            "DeleteStack",
            &parameters,
        )
        .await?;
        Ok(())
    }
}

/// The outputs in the XML that answers `DescribeStacks`.
fn outputs(xml: &str) -> Vec<(String, String)> {
    xml.split("<OutputKey>")
        .skip(1)
        .filter_map(|output| {
            let (key, _) = output.split_once("</OutputKey>")?;
            Some((unescaped(key), between(output, "OutputValue")?))
        })
        .collect()
}

fn between(text: &str, tag: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    let (inner, _) = rest.split_once(&format!("</{tag}>"))?;
    Some(unescaped(inner))
}

fn unescaped(xml: &str) -> String {
    xml.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read_from_xml() {
        let xml = "<Outputs><member><OutputKey>Url</OutputKey><OutputValue>http://a/?b&amp;c=\
                   </OutputValue><Description>x</Description></member><member>\
                   <OutputKey>Table</OutputKey><OutputValue>t-1</OutputValue></member></Outputs>";
        let expected = [("Url", "http://a/?b&c="), ("Table", "t-1")];
        assert_eq!(
            outputs(xml),
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
