package main

type serveCommand struct {
	settings
}

func (serveCommand) run(p *process) int {
	values, problems := p.resolve()
	_, wrong := readConfig(values)
	if problems = append(problems, wrong...); len(problems) > 0 {
		return refuse(p.stderr, problems)
	}
	return exitOK
}
