"""The entry: `python app.py` serves, and `flask` finds the application and its commands here."""

from letstalk.factory import create_app
from letstalk.servers import serve

app = create_app()

if __name__ == "__main__":
    serve(app)
