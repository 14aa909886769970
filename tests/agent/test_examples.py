"""The examples do what their READMEs say."""

from pathlib import Path

from .conftest import answers, until

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
RUN_HELLO = "import sys, agent; agent.app.run(host='127.0.0.1', port=int(sys.argv[1]))"


def test_the_hello_agent_greets_counts_and_streams(own_agents):
    agent = own_agents.launch_command("-c", RUN_HELLO, PYTHONPATH=str(EXAMPLES / "hello-agent"), ROOST_VERSION="7")
    until(lambda: answers(agent))
    assert agent.invoke({"name": "Ada"}).json().items() >= {"message": "Hello, Ada!", "version": "7"}.items()
    for count in (1, 2):
        assert agent.invoke({}, **{"X-Roost-Session-Id": "s1"}).json()["greetings"] == count
    assert agent.invoke({"name": "Ada", "stream": True}).text == 'data: {"word":"Hello,"}\n\ndata: {"word":"Ada!"}\n\n'
    assert agent.invoke([]).status_code == 422


def test_the_fastapi_agent_shouts(own_agents):
    folder = str(EXAMPLES / "fastapi-agent")
    agent = own_agents.launch_command("-m", "uvicorn", "agent:app", "--app-dir", folder, "--port")
    until(lambda: answers(agent))
    assert agent.http.post("/invoke", json={"text": "hello there"}).json() == {"text": "HELLO THERE", "words": 2}
