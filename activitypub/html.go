package activitypub

func sanitise(s string) string  { return s }
func plainText(s string) string { return s }

type mention struct{ Handle, URL string }

func renderText(text string, mentions []mention, origin string) (string, []string) { return text, nil }
func findMentions(text string) []string                                            { return nil }
func findTags(text string) []string                                                { return nil }
