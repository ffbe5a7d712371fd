"""`python -m instance_agent`: the command line, where its program is not on the PATH."""

from instance_agent.cli import main

if __name__ == "__main__":
    main()
