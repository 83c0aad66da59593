//! Extracts and asserts in the JSON of metadata and configurations: the Go tool's keys,
//! and ours.

use serde::{Deserialize, Serialize};

use super::{Assert, Extract, Subject};

/// An extract without the name of its variable.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JsonExtract {
    #[serde(skip_serializing_if = "String::is_empty")]
    re: String,
    group_no: u32,
    match_no: i32,
    // The keys from here on are ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    jsonpath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    subject: Subject,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
}

/// An assert.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JsonAssert {
    #[serde(alias = "Re", skip_serializing_if = "String::is_empty")]
    re: String,
    #[serde(alias = "Invert")]
    invert: bool,
    // The keys from here on are ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jsonpath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    equals: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    subject: Subject,
}

impl JsonExtract {
    /// The extract with the name of its variable.
    pub fn named(self, name: String) -> Extract {
        Extract {
            name,
            regex: self.re,
            match_number: self.match_no,
            group_number: self.group_no,
            jsonpath: self.jsonpath,
            default: self.default,
            subject: self.subject,
            template: self.template,
        }
    }
}

impl From<JsonAssert> for Assert {
    fn from(json: JsonAssert) -> Self {
        Self {
            regex: json.re,
            invert: json.invert,
            text: json.text,
            jsonpath: json.jsonpath,
            equals: json.equals,
            subject: json.subject,
        }
    }
}

/// The JSON of an extract.
pub fn extract_json(extract: &Extract) -> JsonExtract {
    JsonExtract {
        re: extract.regex.clone(),
        group_no: extract.group_number,
        match_no: extract.match_number,
        jsonpath: extract.jsonpath.clone(),
        default: extract.default.clone(),
        subject: extract.subject,
        template: extract.template.clone(),
    }
}

/// The JSON of an assert.
pub fn assert_json(assert: &Assert) -> JsonAssert {
    JsonAssert {
        re: assert.regex.clone(),
        invert: assert.invert,
        text: assert.text.clone(),
        jsonpath: assert.jsonpath.clone(),
        equals: assert.equals.clone(),
        subject: assert.subject,
    }
}

fn is_default(subject: &Subject) -> bool {
    *subject == Subject::default()
}
