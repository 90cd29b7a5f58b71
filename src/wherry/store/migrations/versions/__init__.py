"""One module a revision. What has been released is never edited; a change is a new revision."""
