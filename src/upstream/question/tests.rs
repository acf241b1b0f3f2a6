//! Whose a question is, and that each gets one answer.
